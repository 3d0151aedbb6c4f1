// SPDX-License-Identifier: Apache-2.0
#include "server/metrics_page.hpp"

#include <httplib.h>

#include <atomic>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"

namespace nacre {
namespace {

constexpr const char* media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
constexpr std::size_t callers = 2;  // at once

// A page in a browser may have its own name resolved to this machine: whoever asks for a
// machine by name is sent away.
bool asks_for_loopback(const httplib::Request& request) {
  const auto host = request.get_header_value("Host");
  return host.starts_with("127.") || host.starts_with("[::1]") || host == "localhost" ||
         host.starts_with("localhost:");
}

}  // namespace

struct MetricsPage::Impl {
  Impl(const std::string& address, int port, std::function<std::string()> text) {
    http.new_task_queue = [] { return new httplib::ThreadPool(callers); };
    // Nobody shares the port, as httplib would have it.
    http.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    http.set_keep_alive_max_count(1);
    http.set_read_timeout(5);
    http.set_write_timeout(5);
    http.set_payload_max_length(0);
    http.Get("/metrics", [text = std::move(text)](const httplib::Request& request,
                                                  httplib::Response& response) {
      if (!asks_for_loopback(request)) {
        response.status = 403;
        return;
      }
      try {
        response.set_content(text(), media_type);
      } catch (const std::exception& error) {
        log::debug(error.what());
        response.status = 503;
      }
    });
    if (!http.bind_to_port(address, port))
      throw Error(Errc::busy, "metrics: port " + std::to_string(port) + " of " + address +
                                  " cannot be had; choose another one");
    listener = std::jthread([this] {
      http.listen_after_bind();
      ended = true;
    });
    while (!http.is_running() && !ended) std::this_thread::yield();  // or stop() would be lost
  }
  ~Impl() { http.stop(); }

  httplib::Server http;
  std::atomic<bool> ended = false;
  std::jthread listener;
};

MetricsPage::MetricsPage(const std::string& address, int port, std::function<std::string()> text)
    : impl_(std::make_unique<Impl>(address, port, std::move(text))) {}

MetricsPage::~MetricsPage() = default;

}  // namespace nacre
