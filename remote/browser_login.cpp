// SPDX-License-Identifier: Apache-2.0
#include "remote/browser_login.hpp"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "remote/http.hpp"
#include "remote/json.hpp"
#include "remote/seafile_link.hpp"
#include "remote/wire.hpp"

namespace nacre {
namespace {

constexpr std::size_t longest_number = 128, longest_device_name = 40;

Error strange(const std::string& url) {
  return Error(Errc::corrupt, url +
                                  ": its link for the browser cannot be understood; is it a "
                                  "Seafile server?");
}

// ".../client-sso/NUMBER/"
std::string_view number_in(std::string_view link) {
  constexpr std::string_view before = "/client-sso/";
  const auto at = link.find(before);
  if (at == std::string_view::npos) return {};
  auto number = link.substr(at + before.size());
  number = number.substr(0, number.find_first_of("/?"));
  const bool plain = std::ranges::all_of(number, [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_';
  });
  return plain && number.size() <= longest_number ? number : std::string_view();
}

// It is shown, and handed to a browser: printable ASCII of a web address, no more.
bool is_shown_well(std::string_view link) {
  return (link.starts_with("https://") || link.starts_with("http://")) && link.size() < 2048 &&
         std::ranges::all_of(link, [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

}  // namespace

BrowserLogin::BrowserLogin(const ServerAddress& server, const ClientIdentity& client)
    : server_(server), number_(0) {
  Http http(http_options(server));
  HttpRequest post;
  post.method = HttpMethod::post;
  post.path = "/api2/client-sso-link/";
  const auto reply = http.perform(post);
  if (reply.status == 404 || reply.status == 405)
    throw Error(Errc::unsupported, server.url +
                                       ": this server has no login by browser (it is older, or "
                                       "has no single sign-on); log in with --user, or with a "
                                       "token from its web page and --token-fd");
  require_ok(reply, server.url);
  const JsonDocument json(reply.body, "link for the browser");
  link_ = json.root().string_at("link").value_or("");
  const auto number = number_in(link_);
  if (number.empty() || !is_shown_well(link_)) throw strange(server.url);
  number_ = Secret::copy_of(as_bytes(number));
  // What the server is to call the device that the token is for.
  const auto device = client.name.substr(0, longest_device_name);
  const auto id = client.id.hex();
  link_ += (link_.find('?') == std::string::npos ? '?' : '&') +
           write_form(std::vector<std::pair<std::string_view, std::string_view>>{
               {"shib_platform", "linux"},
               {"shib_device_id", id},
               {"shib_device_name", device},
               {"shib_client_version", "nacre_" NACRE_VERSION},
               {"shib_platform_version", ""}});
}

std::optional<LoginResult> BrowserLogin::look() const {
  Http http(http_options(server_));
  HttpRequest get;
  get.path = "/api2/client-sso-link/" + std::string(as_text(number_.bytes())) + "/";
  auto reply = http.perform(get);
  if (reply.status == 404)
    throw Error(Errc::denied, server_.url + ": the link is not valid any more; log in again");
  require_ok(reply, server_.url);
  std::optional<LoginResult> result;
  std::string status;
  {
    const JsonDocument json(reply.body, "login by browser");
    status = json.root().string_at("status").value_or("");
    const auto token = json.root().string_at("apiToken");
    if (status == "success" && token && !token->empty())
      result = LoginResult{std::string(json.root().string_at("username").value_or("")),
                           Secret::copy_of(as_bytes(*token))};
  }
  wipe(reply.body);
  if (result) return result;
  if (status == "success") throw strange(server_.url);
  if (status == "waiting") return std::nullopt;
  throw Error(Errc::denied, server_.url + ": the login in the browser has failed; log in again");
}

}  // namespace nacre
