// SPDX-License-Identifier: Apache-2.0
//
// One request on its way through the handlers: its path in words, and the few
// ways to answer.
#pragma once

#include <httplib.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "remote/object_store.hpp"
#include "server/accounts.hpp"
#include "server/browser_logins.hpp"

namespace nacre {

// What a handler refuses, as a status that clients know (seafile-protocol, 5.13).
struct Refusal {
  int status;
  std::string body = {};
};

// What all requests share.
struct ServerState {
  ObjectStore store;
  Accounts accounts;
  bool secure = false;  // by TLS
  BrowserLogins browser_logins = {};
};

struct Call {
  const httplib::Request& request;
  httplib::Response& response;
  std::vector<std::string_view> words;                   // of the path, without empty ones
  std::string body_text;                                 // as it came
  std::map<std::string, std::string, std::less<>> form;  // of a form's body

  [[nodiscard]] std::string_view word(std::size_t at) const {
    return at < words.size() ? words[at] : std::string_view();
  }
  [[nodiscard]] bool is(const char* method) const { return request.method == method; }
  [[nodiscard]] ByteView body() const { return as_bytes(body_text); }
  // A field of the query or of the form.
  [[nodiscard]] std::string field(const char* name) const {
    if (request.has_param(name)) return request.get_param_value(name);
    const auto found = form.find(name);
    return found == form.end() ? std::string() : found->second;
  }
  // "Authorization: Token …", or empty.
  [[nodiscard]] std::string token() const {
    const auto value = request.get_header_value("Authorization");
    const auto space = value.find(' ');
    return space == std::string::npos ? std::string() : value.substr(space + 1);
  }

  void json(const std::string& text) { response.set_content(text, "application/json"); }
  void bytes(ByteView content) {
    response.set_content(reinterpret_cast<const char*>(content.data()), content.size(),
                         "application/octet-stream");
  }
};

// Each answers the call, or says false where it has no such address.
bool answer_web_api(ServerState& state, Call& call);
bool answer_sync(ServerState& state, Call& call);

}  // namespace nacre
