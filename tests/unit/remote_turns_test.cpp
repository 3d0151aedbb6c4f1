// SPDX-License-Identifier: Apache-2.0
//
// Many requests at once: who goes first, and how much all of them take.
#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>
#include <set>
#include <thread>

#include "base/waiting.hpp"
#include "eventually.hpp"
#include "gate.hpp"
#include "local_http.hpp"

using namespace nacre;
using namespace std::chrono_literals;
using test::get;
using test::LocalServer;
using test::quick;

TEST_CASE("many requests at once share few connections") {
  LocalServer server;
  std::mutex mutex;
  std::set<int> ports;
  server->Get("/x", [&](const httplib::Request& request, httplib::Response& response) {
    const std::lock_guard lock(mutex);
    ports.insert(request.remote_port);
    response.set_content("x", "text/plain");
  });
  auto options = quick(server.start());
  options.connections = 8;
  Http http(std::move(options));
  std::atomic<int> good = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 16; ++i) {
      threads.emplace_back([&, i] {
        for (int n = 0; n < 20; ++n) {
          auto request = get("/x");
          request.bulk = i % 2 == 0;
          if (http.perform(request).status == 200) ++good;
        }
      });
    }
  }
  CHECK(good == 320);
  CHECK(ports.size() <= 8);
}

TEST_CASE("a block that a program waits for goes before those that are fetched ahead") {
  LocalServer server;
  test::Gate gate;
  std::mutex mutex;
  std::vector<std::string> order;
  server->Get("/first", [&](const httplib::Request&, httplib::Response&) { gate.pass(); });
  server->Get("/block/.*", [&](const httplib::Request& request, httplib::Response&) {
    const std::lock_guard lock(mutex);
    order.push_back(request.path);
  });
  auto options = quick(server.start());
  options.connections = 1;
  options.stall_timeout = 60s;
  Http http(options);
  const auto ask = [&](const char* path, bool urgent) {
    auto waits = Waiting::at_most(20s);
    waits.urgent = urgent;
    const WaitAs program(waits);
    auto request = get(path);
    request.bulk = true;
    http.perform(request);
  };
  {
    std::vector<std::jthread> threads;
    threads.emplace_back(ask, "/first", false);
    gate.await(1);
    std::size_t queued = 0;
    for (const auto& [path, urgent] :
         {std::pair("/block/ahead", false), std::pair("/block/wanted", true)}) {
      threads.emplace_back(ask, path, urgent);
      ++queued;
      CHECK(test::eventually([&] { return http.queued() == queued; }));
    }
    gate.open();
  }
  CHECK(order == std::vector<std::string>{"/block/wanted", "/block/ahead"});
}

TEST_CASE("what is sent and fetched keeps to its limit, all requests together") {
  LocalServer server;
  server->Get("/x", [](const httplib::Request&, httplib::Response& response) {
    response.set_content(std::string(256 << 10U, 'x'), "text/plain");
  });
  server->Put("/x", [](const httplib::Request&, httplib::Response&) {});
  auto options = quick(server.start());
  const Bytes body(256 << 10U, 'x');
  auto request = get("/x");
  request.bulk = true;
  SECTION("fetched") { options.download_limit = 512 << 10U; }
  SECTION("sent") {
    options.upload_limit = 512 << 10U;
    request.method = HttpMethod::put;
    request.headers = {"Content-Type: application/octet-stream"};
    request.body = body;
  }
  Http http(options);
  const auto began = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) threads.emplace_back([&] { CHECK(http.perform(request).ok()); });
  }
  // Two seconds' worth; without a limit it takes a few milliseconds.
  CHECK(std::chrono::steady_clock::now() - began > 1s);
}
