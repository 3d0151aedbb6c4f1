// SPDX-License-Identifier: Apache-2.0
#include <ctime>

#include "base/error.hpp"
#include "remote/json.hpp"
#include "remote/seafile_link.hpp"

namespace nacre {
namespace {

constexpr std::size_t longest_device_name = 40;  // what a server stores

std::string refusal(const HttpReply& reply) {
  const auto words = error_words(reply.body);
  return words.empty() ? "the server refuses the login" : words;
}

Secret ask_for_token(const LoginRequest& request) {
  const auto device = request.client.name.substr(0, longest_device_name);
  const auto id = request.client.id.hex();
  const auto start = write_form(std::vector<std::pair<std::string_view, std::string_view>>{
      {"username", request.user},
      {"platform", "linux"},
      {"device_id", id},
      {"device_name", device},
      {"client_version", "nacre_" NACRE_VERSION},
      {"platform_version", ""}});
  const auto form = secret_form(start, "password", *request.password);

  Http http(http_options(request.server));
  HttpRequest post;
  post.method = HttpMethod::post;
  post.path = "/api2/auth-token/";
  post.headers = {"Content-Type: application/x-www-form-urlencoded"};
  if (!request.one_time_code.empty()) {
    post.headers.push_back("X-SEAFILE-OTP: " + request.one_time_code);
  }
  post.body = form.bytes();
  auto reply = http.perform(post);

  const auto what = "login as " + request.user;
  if (reply.header("x-seafile-otp") == "required") {
    throw Error(Errc::wrong_password,
                what + (request.one_time_code.empty()
                            ? ": a one-time code is wanted; give it with --otp"
                            : ": the one-time code is wrong or too old; give a fresh one "
                              "with --otp"));
  }
  if (reply.status == 400 || reply.status == 401 || reply.status == 403) {
    throw Error(reply.status == 400 ? Errc::wrong_password : Errc::denied,
                what + ": " + refusal(reply) + "; check user and password");
  }
  if (reply.status == 404) {
    throw Error(Errc::not_found, http.url() +
                                     ": no Seafile server answers here; check the address, "
                                     "it may want a prefix");
  }
  require_ok(reply, what);
  auto token = read_token(reply.body);
  wipe(reply.body);
  return token;
}

}  // namespace

LoginResult log_in(const LoginRequest& request) {
  if ((request.password == nullptr) == (request.token == nullptr)) {
    throw Error(Errc::invalid, "login: give either a password or a token");
  }
  auto token = request.token != nullptr ? request.token->clone() : ask_for_token(request);
  SeafileLink link(request.server, token.clone());
  HttpRequest get;
  get.path = "/api2/account/info/";
  const auto reply = link.api(get);
  require_ok(reply, "account at " + request.server.url);
  return {read_account(reply.body).email, std::move(token)};
}

ServerFacts ask_server(const ServerAddress& server) {
  Http http(http_options(server));
  HttpRequest get;
  get.path = "/api2/server-info/";
  const auto reply = http.perform(get);
  require_ok(reply, server.url);
  ServerFacts facts;
  const JsonDocument json(reply.body, "server-info");
  facts.encryption = static_cast<int>(
      json.root().int64_at("encrypted_library_version").value_or(facts.encryption));
  facts.version = json.root().string_at("version").value_or("");
  std::tm date = {};
  const std::string text(reply.header("date"));
  if (::strptime(text.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &date) != nullptr)
    facts.time = ::timegm(&date);
  return facts;
}

void log_out(const ServerAddress& server, const Secret& token) {
  SeafileLink link(server, token.clone());
  HttpRequest post;
  post.method = HttpMethod::post;
  post.path = "/api2/logout-device/";
  post.idempotent = true;
  const auto reply = link.api(post);
  if (reply.status == 401) return;  // the server knows the token no more: it is logged out
  require_ok(reply, "logout from " + server.url);
}

}  // namespace nacre
