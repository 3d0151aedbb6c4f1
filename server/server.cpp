// SPDX-License-Identifier: Apache-2.0
#include "server/server.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <map>

#include "base/error.hpp"
#include "base/log.hpp"
#include "server/answer_faulty.hpp"
#include "server/call.hpp"
#include "server/connections.hpp"

namespace nacre {
namespace {

constexpr std::size_t largest_body = std::size_t{256} << 20U;
constexpr std::size_t requests_a_connection = 1'000'000;
constexpr time_t idle_seconds = 30;

std::vector<std::string_view> words_of(std::string_view path) {
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < path.size();) {
    const auto slash = std::min(path.find('/', at), path.size());
    if (slash > at) words.push_back(path.substr(at, slash - at));
    at = slash + 1;
  }
  return words;
}

int status_of(Errc code) {
  switch (code) {
    case Errc::not_found: return 404;
    case Errc::corrupt:
    case Errc::invalid:
    case Errc::name_too_long: return 400;
    case Errc::full:
    case Errc::quota: return 443;
    default: return 500;
  }
}

// A form's fields, percent-decoded.  Read here and not by the library, which takes
// any body without a type for a form, and refuses those over 8 KiB.
std::map<std::string, std::string, std::less<>> fields_of(std::string_view body) {
  const auto decoded = [](std::string_view text) {
    std::string plain;
    for (std::size_t i = 0; i < text.size(); ++i) {
      std::uint8_t byte = 0;
      std::string hex(text.substr(std::min(i + 1, text.size()), 2));
      std::ranges::transform(hex, hex.begin(), [](char c) {
        return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
      });
      if (text[i] == '%' && read_hex(hex, {&byte, 1})) {
        plain += static_cast<char>(byte);
        i += 2;
      } else {
        plain += text[i] == '+' ? ' ' : text[i];
      }
    }
    return plain;
  };
  std::map<std::string, std::string, std::less<>> fields;
  for (std::size_t at = 0; at < body.size();) {
    const auto end = std::min(body.find('&', at), body.size());
    const auto pair = body.substr(at, end - at);
    const auto equals = std::min(pair.find('='), pair.size());
    fields.emplace(decoded(pair.substr(0, equals)),
                   decoded(pair.substr(std::min(equals + 1, pair.size()))));
    at = end + 1;
  }
  return fields;
}

// Handlers throw; every request is answered here, exactly once.
template <class Work>
void guarded(const httplib::Request& request, httplib::Response& response, Work work) {
  try {
    work();
  } catch (const Refusal& refusal) {
    response.status = refusal.status;
    if (!refusal.body.empty())
      response.set_content(refusal.body, refusal.body.front() == '{' || refusal.body.front() == '['
                                             ? "application/json"
                                             : "text/plain");
  } catch (const Error& error) {
    log::debug(request.method + " " + request.path + ": " + error.what());
    response.status = status_of(error.code());
    response.set_content(std::string(error.what()) + "\n", "text/plain");
  } catch (const std::exception& error) {
    log::error(request.method + " " + request.path + ": " + error.what());
    response.status = 500;
  }
}

void carry_out(ServerState& state, const httplib::Request& request, httplib::Response& response,
               std::string body) {
  Call call{request, response, words_of(request.path), std::move(body), {}};
  // Only the web API takes forms; elsewhere the type of a body means nothing.
  if (call.word(0) != "seafhttp") call.form = fields_of(call.body_text);
  guarded(request, response, [&] {
    if (!answer_sync(state, call) && !answer_web_api(state, call)) response.status = 404;
  });
}

std::unique_ptr<httplib::Server> listener(const ServerOptions& options) {
  if (options.tls_cert.has_value() != options.tls_key.has_value())
    throw Error(Errc::invalid, "serve: a certificate and its key belong together; give both");
  if (!options.tls_cert) return std::make_unique<httplib::Server>();
  auto server =
      std::make_unique<httplib::SSLServer>(options.tls_cert->c_str(), options.tls_key->c_str());
  if (!server->is_valid())
    throw Error(Errc::invalid,
                options.tls_cert->string() +
                    ": not a certificate in PEM that fits its key; check both files");
  return server;
}

}  // namespace

namespace {

std::string http_date(std::time_t when) {
  std::tm parts = {};
  ::gmtime_r(&when, &parts);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return text.data();
}

}  // namespace

struct Server::Impl {
  explicit Impl(ServerOptions its_options)
      : options(std::move(its_options)),
        state{ObjectStore(options.dir / "storage", ObjectStore::Access::read_write),
              Accounts(options.dir), options.tls_cert.has_value()},
        http(listener(options)) {
    if (options.faults) faults.emplace(*options.faults);
    const auto handler = [this](const httplib::Request& request, httplib::Response& response) {
      answer(request, response, {});
    };
    const auto body_handler = [this](const httplib::Request& request, httplib::Response& response,
                                     const httplib::ContentReader& reader) {
      std::string body;
      if (const auto length = request.get_header_value<std::uint64_t>("Content-Length");
          length <= largest_body)
        body.reserve(length);
      if (!reader([&](const char* data, std::size_t size) {
            body.append(data, size);
            return body.size() <= largest_body;
          })) {
        response.status = 413;
        return;
      }
      answer(request, response, std::move(body));
    };
    http->Get(".*", handler).Delete(".*", handler);
    http->Post(".*", body_handler).Put(".*", body_handler);
    http->set_payload_max_length(largest_body);
    http->set_keep_alive_max_count(requests_a_connection);
    http->set_keep_alive_timeout(idle_seconds);
    http->set_tcp_nodelay(true);
    http->new_task_queue = [threads = options.threads] { return new httplib::ThreadPool(threads); };
    port = options.port;
    if (port == 0)
      port = http->bind_to_any_port(options.address);
    else if (!http->bind_to_port(options.address, port))
      port = -1;
    if (port < 0)
      throw Error(Errc::busy, options.address + ":" + std::to_string(options.port) +
                                  ": cannot listen there; is another program on it?");
  }

  void answer(const httplib::Request& request, httplib::Response& response, std::string body) {
    response.set_header("Date", http_date(std::time(nullptr)));
    if (!faults) return carry_out(state, request, response, std::move(body));
    guarded(request, response, [&] {
      answer_faulty(*faults, state, request, response, std::move(body),
                    [this](const auto& asked, auto& answered, std::string text) {
                      carry_out(state, asked, answered, std::move(text));
                    });
    });
  }

  const ServerOptions options;
  ServerState state;
  std::optional<Faults> faults;
  std::unique_ptr<httplib::Server> http;
  int port = 0;
};

Server::Server(ServerOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

Server::~Server() { stop(); }

void Server::run() {
  if (impl_->options.ready) impl_->options.ready(impl_->port);
  impl_->http->listen_after_bind();
}

void Server::stop() noexcept {
  if (impl_->faults) impl_->faults->stop();
  impl_->http->stop();
  hang_up(impl_->port);
}

}  // namespace nacre
