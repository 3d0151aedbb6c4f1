// SPDX-License-Identifier: Apache-2.0
//
// HTTP to one server.  Only http.cpp, http_loop.cpp and http_headers.hpp include <curl/curl.h>.
//
// Any thread may call perform(); it blocks, for a bounded time, while one thread
// of the connection drives all transfers.  Open an Http after the last fork().
//
// TLS is 1.2 or newer, always verified; http:// is for loopback unless asked for.
// Nothing, and so no token, is ever sent to another host than the one in the
// address: redirects are followed there only, and never from https to http.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "crypto/secret.hpp"

namespace nacre {

struct HttpOptions {
  std::string url;  // http[s]://host[:port][/prefix]
  std::optional<std::filesystem::path> ca_file;
  bool insecure_http = false;
  std::chrono::milliseconds connect_timeout{15'000};
  std::chrono::milliseconds stall_timeout{60'000};     // whole seconds, at least one
  std::chrono::milliseconds first_backoff{250};        // doubled with each retry
  std::size_t connections = 16;                        // small files come one a request
  std::uint64_t download_limit = 0, upload_limit = 0;  // bytes per second of all together; 0: none
};

enum class HttpMethod { get, post, put, remove };

// A header whose value is nobody's to read: "name: prefix" and then the secret.
struct SecretHeader {
  std::string_view start;  // "Authorization: Token "
  const Secret* secret;
};

// Everything that is borrowed here lives until perform() returns.
struct HttpRequest {
  HttpMethod method = HttpMethod::get;
  std::string path;                  // after the address: "/api2/ping/", query included
  std::vector<std::string> headers;  // "Name: value"
  std::vector<SecretHeader> secret_headers;
  ByteView body;

  std::size_t max_reply = std::size_t{1} << 20U;  // bytes of body; more is Error{corrupt}
  std::chrono::milliseconds time_limit{120'000};  // of one try, waiting for a turn included
  bool idempotent = false;  // may be sent again when nobody knows what became of it (GET: always)
  // A block: leaves room for small requests beside it, and waits behind those that a program
  // waits for (Waiting::urgent).
  bool bulk = false;

  // Takes a successful body piece by piece instead of HttpReply::body; runs on the
  // connection's thread, must not throw nor wait; false ends the transfer.
  std::function<bool(ByteView)> sink;

  // Is told, for each piece of a successful body that goes to HttpReply::body, all of it so far and
  // the length that was announced (0: none); on the connection's thread, must not throw nor wait.
  // Begins anew where another try does.
  std::function<void(ByteView, std::uint64_t)> arrives;
};

struct HttpReply {
  int status = 0;
  Bytes body;
  std::vector<std::pair<std::string, std::string>> headers;  // lower-case names; only those we know

  [[nodiscard]] bool ok() const noexcept { return status >= 200 && status < 300; }
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;
};

class HttpLoop;

class Http {
 public:
  // Throws Error{invalid} for an address that is none, or that must not be used.
  explicit Http(const HttpOptions& options);
  ~Http();  // ends every transfer: who waits for one gets Error{interrupted}
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  // Any answer of the server, after retries where they may help: network
  // failures, 429, 502, 503, 504 for idempotent requests, 500 too for GET.
  // Keeps to the caller's patience (base/waiting.hpp), over all tries.
  // Throws Error{unreachable, corrupt, interrupted}.
  HttpReply perform(const HttpRequest& request);

  [[nodiscard]] std::size_t queued() const;  // requests that wait for their turn
  [[nodiscard]] const std::string& url() const noexcept { return url_; }  // no slash at the end

 private:
  std::string url_;
  std::shared_ptr<HttpLoop> loop_;
};

// What an HTTP status says.
Errc status_error(int status) noexcept;

// Throws Error{status_error(...)} "WHAT: WHY; WHAT TO DO" unless the reply is ok().
void require_ok(const HttpReply& reply, const std::string& what);

}  // namespace nacre
