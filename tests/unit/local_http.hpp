// SPDX-License-Identifier: Apache-2.0
//
// A real HTTP server on a port of its own, on this machine, and what is asked of it.
#pragma once

#include <httplib.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "remote/http.hpp"

namespace nacre::test {

class LocalServer {
 public:
  explicit LocalServer(
      std::unique_ptr<httplib::Server> server = std::make_unique<httplib::Server>())
      : server_(std::move(server)) {
    server_->new_task_queue = [] { return new httplib::ThreadPool(16); };
    server_->set_keep_alive_max_count(1000);
    server_->set_tcp_nodelay(true);
  }
  ~LocalServer() {
    server_->stop();
    if (thread_.joinable()) thread_.join();
  }
  LocalServer(const LocalServer&) = delete;
  LocalServer& operator=(const LocalServer&) = delete;

  httplib::Server* operator->() { return server_.get(); }
  std::string start(const std::string& scheme = "http") {
    const int port = server_->bind_to_any_port("127.0.0.1");
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running()) std::this_thread::yield();
    return scheme + "://127.0.0.1:" + std::to_string(port);
  }

 private:
  std::unique_ptr<httplib::Server> server_;
  std::thread thread_;
};

inline HttpOptions quick(const std::string& url) {
  HttpOptions options;
  options.url = url;
  options.first_backoff = std::chrono::milliseconds(1);
  options.connect_timeout = std::chrono::seconds(2);
  options.stall_timeout = std::chrono::seconds(1);
  return options;
}

inline HttpRequest get(std::string path) {
  HttpRequest request;
  request.path = std::move(path);
  return request;
}

}  // namespace nacre::test
