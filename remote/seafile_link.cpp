// SPDX-License-Identifier: Apache-2.0
#include "remote/seafile_link.hpp"

#include "base/error.hpp"

namespace nacre {

HttpOptions http_options(const ServerAddress& address) {
  HttpOptions options;
  options.url = address.url;
  options.ca_file = address.ca_file;
  options.insecure_http = address.insecure_http;
  options.connect_timeout = address.connect_timeout;
  options.stall_timeout = address.stall_timeout;
  options.download_limit = address.download_limit;
  options.upload_limit = address.upload_limit;
  return options;
}

SeafileLink::SeafileLink(const ServerAddress& address, Secret token)
    : http_(http_options(address)), token_(std::move(token)) {}

HttpReply SeafileLink::api(HttpRequest request) {
  request.secret_headers.push_back({"Authorization: Token ", &token_});
  return http_.perform(request);
}

HttpReply SeafileLink::sync_without_token(HttpRequest request) {
  request.path.insert(0, "/seafhttp");
  return http_.perform(request);
}

HttpReply SeafileLink::sync(const LibraryId& library, HttpRequest request) {
  request.path.insert(0, "/seafhttp");
  Token refused;
  for (;;) {
    const auto current = token(library, refused);
    // Both: some servers record the device under the first only, some proxies
    // drop names that they do not know.
    request.secret_headers = {{"Seafile-Repo-Token: ", current.get()},
                              {"Authorization: Token ", current.get()}};
    auto reply = http_.perform(request);
    const bool no = reply.status == 400 || reply.status == 401 || reply.status == 403;
    if (!no || refused) return reply;
    refused = current;
  }
}

SeafileLink::Token SeafileLink::known_token(const LibraryId& library, const Token& refused) const {
  return tokens_.with([&](const auto& tokens) {
    const auto at = tokens.find(library);
    return at == tokens.end() || at->second == refused ? Token() : at->second;
  });
}

SeafileLink::Token SeafileLink::token(const LibraryId& library, const Token& refused) {
  if (auto known = known_token(library, refused)) return known;
  for (;;) {
    auto token = flights_.run(library, [&] {
      if (auto known = known_token(library, refused)) return known;  // landed since we looked
      auto fresh = fetch_token(library);
      tokens_.with([&](auto& tokens) { tokens[library] = fresh; });
      return fresh;
    });
    if (token != refused) return token;  // else of a flight that knew of no refusal
  }
}

SeafileLink::Token SeafileLink::fetch_token(const LibraryId& library) {
  HttpRequest request;
  request.path = "/api2/repos/" + library.str() + "/download-info/";
  auto reply = api(std::move(request));
  const auto what = "library " + library.str();
  if (reply.status == 404) {
    throw Error(Errc::gone, what + ": the server has it no more, or not for this account");
  }
  require_ok(reply, what);
  auto info = read_download_info(reply.body);
  wipe(reply.body);
  if (info.library.id != library) {
    throw Error(Errc::corrupt, what + ": the server answers with another library");
  }
  return std::make_shared<const Secret>(std::move(info.token));
}

void SeafileLink::fetch_tokens(std::span<const LibraryId> libraries) {
  constexpr std::size_t batch = 100;  // the ids stand in the URL
  std::vector<LibraryId> lacking;
  tokens_.with([&](const auto& tokens) {
    for (const auto& library : libraries) {
      if (!tokens.contains(library)) lacking.push_back(library);
    }
  });
  for (std::size_t at = 0; at < lacking.size(); at += batch) {
    HttpRequest request;
    request.path = "/api2/repo-tokens/?repos=";
    for (auto i = at; i < std::min(at + batch, lacking.size()); ++i) {
      if (i != at) request.path += ',';
      request.path += lacking[i].text();
    }
    auto reply = api(std::move(request));
    require_ok(reply, "tokens of libraries");
    auto fresh = read_tokens(reply.body);
    wipe(reply.body);
    for (auto& [library, secret] : fresh) remember(library, std::move(secret));
  }
}

void SeafileLink::remember(const LibraryId& library, Secret token) {
  const auto shared = std::make_shared<const Secret>(std::move(token));
  tokens_.with([&](auto& tokens) { tokens[library] = shared; });
}

}  // namespace nacre
