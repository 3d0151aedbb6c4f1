// SPDX-License-Identifier: Apache-2.0
#include "remote/http.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <new>
#include <random>

#include "remote/http_loop.hpp"

namespace nacre {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int max_tries = 4;
constexpr int max_redirects = 5;
constexpr milliseconds longest_backoff{10'000};
constexpr milliseconds longest_retry_after{30'000};
constexpr milliseconds retry_window{20'000};  // no further try begins after this

struct FreeUrl {
  void operator()(CURLU* url) const noexcept { curl_url_cleanup(url); }
};

// A URL taken apart by the same parser that will connect to it.
class Url {
 public:
  explicit Url(const std::string& text) : url_(curl_url()) {
    if (!url_) throw std::bad_alloc();
    valid_ = curl_url_set(url_.get(), CURLUPART_URL, text.c_str(), 0) == CURLUE_OK;
  }

  [[nodiscard]] bool valid() const noexcept { return valid_; }
  bool follow(const std::string& location) {  // as a browser would, relative or whole
    return curl_url_set(url_.get(), CURLUPART_URL, location.c_str(), 0) == CURLUE_OK;
  }
  [[nodiscard]] std::string part(CURLUPart which) const {
    char* text = nullptr;
    if (curl_url_get(url_.get(), which, &text, CURLU_DEFAULT_PORT) != CURLUE_OK) return {};
    const std::unique_ptr<char, decltype(&curl_free)> owner(text, &curl_free);
    std::string copy(text);
    if (which == CURLUPART_HOST || which == CURLUPART_SCHEME) {
      std::ranges::transform(copy, copy.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      });
    }
    return copy;
  }

 private:
  std::unique_ptr<CURLU, FreeUrl> url_;
  bool valid_ = false;
};

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "[::1]") return true;
  std::array<std::uint8_t, 4> bytes{};
  std::size_t n = 0;
  int value = -1;
  for (const char c : host + '.') {
    if (c == '.') {
      if (value < 0 || n == bytes.size()) return false;
      bytes[n++] = static_cast<std::uint8_t>(value);
      value = -1;
    } else if (c >= '0' && c <= '9') {
      value = std::max(value, 0) * 10 + (c - '0');
      if (value > 255) return false;
    } else {
      return false;
    }
  }
  return n == bytes.size() && bytes[0] == 127;
}

bool is_passing(int status, HttpMethod method) noexcept {
  return status == 429 || (status >= 502 && status <= 504) ||
         (status == 500 && method == HttpMethod::get);
}

}  // namespace

Http::Http(const HttpOptions& options) : url_(options.url) {
  while (url_.ends_with('/')) url_.pop_back();
  const Url url(url_);
  const auto scheme = url.valid() ? url.part(CURLUPART_SCHEME) : "";
  const auto host = url.part(CURLUPART_HOST);
  if ((scheme != "http" && scheme != "https") || url_.find("://") == std::string::npos ||
      host.empty() || !url.part(CURLUPART_QUERY).empty() || !url.part(CURLUPART_FRAGMENT).empty()) {
    throw Error(Errc::invalid,
                options.url + ": not a server's address; write https://host[:port][/prefix]");
  }
  if (!url.part(CURLUPART_USER).empty() || !url.part(CURLUPART_PASSWORD).empty()) {
    throw Error(Errc::invalid, "a server's address holds no user and no password; give them apart");
  }
  const bool loopback = is_loopback(host);
  if (scheme == "http" && !loopback && !options.insecure_http) {
    throw Error(Errc::invalid, url_ +
                                   ": http:// would send password and files for all to read; "
                                   "use https://, or insist with --insecure-http");
  }
  loop_ = std::make_shared<HttpLoop>(options, loopback);
}

Http::~Http() { loop_->close(); }

std::size_t Http::queued() const { return loop_->queued(); }

HttpReply Http::perform(const HttpRequest& request) {
  // Who is let go by the destructor finds this object gone: nothing of it is used after a wait.
  const auto loop = loop_;
  const auto server = url_;
  const bool again = request.idempotent || request.method == HttpMethod::get;
  const auto began = Clock::now();
  auto url = server + request.path;
  auto backoff = loop->options().first_backoff;
  int redirects = 0;
  for (int tries = 1;;) {
    auto outcome = loop->attempt(request, url);
    const auto& reply = outcome.reply;
    const bool answered = !outcome.failure;

    if (answered && reply.status >= 300 && reply.status < 400) {
      const auto location = reply.header("location");
      const Url from(url);
      Url to(url);
      const bool readable = !location.empty() && to.follow(std::string(location));
      const auto scheme = to.part(CURLUPART_SCHEME);
      const bool upgrade = from.part(CURLUPART_SCHEME) == "http" && scheme == "https";
      const bool same = to.part(CURLUPART_HOST) == from.part(CURLUPART_HOST) &&
                        (upgrade || (scheme == from.part(CURLUPART_SCHEME) &&
                                     to.part(CURLUPART_PORT) == from.part(CURLUPART_PORT)));
      const bool keeps_method =
          request.method == HttpMethod::get || reply.status == 307 || reply.status == 308;
      if (!readable || !same || !keeps_method || ++redirects > max_redirects) {
        throw Error(Errc::unreachable,
                    server + ": the server sends us to " +
                        (readable ? scheme + "://" + to.part(CURLUPART_HOST) : "nowhere") +
                        ", which is not followed; log in with the address that it means");
      }
      url = to.part(CURLUPART_URL);
      continue;
    }
    if (answered && !(again && is_passing(reply.status, request.method))) {
      return std::move(outcome.reply);
    }

    auto wait = backoff / 2 +
                milliseconds(std::random_device{}() %
                             static_cast<unsigned>(std::max<std::int64_t>(1, backoff.count() / 2)));
    backoff = std::min(backoff * 2, longest_backoff);
    if (answered && !reply.header("retry-after").empty()) {
      const std::string text(reply.header("retry-after"));
      const bool digits = text.size() < 8 && text.find_first_not_of("0123456789") == text.npos;
      wait = std::max(wait, digits ? milliseconds(1000LL * std::stoll(text)) : wait);
    }
    const bool last = tries++ == max_tries || !again || !(answered || outcome.passing) ||
                      outcome.delivered || wait > longest_retry_after ||
                      Clock::now() - began > retry_window;
    if (!last && loop->pause(wait)) continue;
    if (answered) return std::move(outcome.reply);
    throw Error(*outcome.failure,
                server + request.path.substr(0, request.path.find('?')) + ": " + outcome.why);
  }
}

std::string_view HttpReply::header(std::string_view name) const noexcept {
  const auto at = std::ranges::find(headers, name, [](const auto& h) { return h.first; });
  return at == headers.end() ? std::string_view() : at->second;
}

Errc status_error(int status) noexcept {
  switch (status) {
    case 400: return Errc::invalid;
    case 401:
    case 403: return Errc::denied;
    case 404: return Errc::not_found;
    case 413: return Errc::too_large;
    case 443: return Errc::quota;
    case 444: return Errc::gone;
    case 445: return Errc::corrupt;
    case 408:
    case 409:
    case 429:
    case 446: return Errc::busy;
    default: return status >= 500 ? Errc::busy : Errc::unsupported;
  }
}

void require_ok(const HttpReply& reply, const std::string& what) {
  if (reply.ok()) return;
  const auto code = status_error(reply.status);
  const char* why = "the server refuses the request";
  switch (reply.status) {
    case 401: why = "the server does not know this login any more; log in again"; break;
    case 403: why = "the server does not permit it; ask the library's owner"; break;
    case 404: why = "the server has no such thing"; break;
    case 413: why = "too large for the server or a proxy before it"; break;
    case 429: why = "too many requests; wait a little"; break;
    case 443: why = "the account is full; free some space on the server"; break;
    case 444: why = "the library was deleted on the server"; break;
    case 445: why = "the library is damaged on the server; tell its administrator"; break;
    default:
      if (reply.status >= 500) why = "the server is in trouble; try again later";
  }
  throw Error(code, what + ": " + why + " (HTTP " + std::to_string(reply.status) + ")");
}

}  // namespace nacre
