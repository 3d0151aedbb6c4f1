// SPDX-License-Identifier: Apache-2.0
//
// Who waits for a server waits as long as it has patience for, and can be stopped.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/fd.hpp"
#include "base/single_flight.hpp"
#include "base/waiting.hpp"
#include "code_of.hpp"
#include "remote/http.hpp"

using namespace nacre;
using test::code_of;
using namespace std::chrono_literals;

namespace {

constexpr auto soon = 10s;  // far less than anything but patience would take

// Answers /small at once, drips /slow, and leaves everything else unanswered.
class MoodyServer {
 public:
  MoodyServer() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(listener_.get(), generic, size) == 0);
    REQUIRE(::listen(listener_.get(), 16) == 0);
    REQUIRE(::getsockname(listener_.get(), generic, &size) == 0);
    options.url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::thread([this] { serve(); });
  }
  ~MoodyServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  MoodyServer(const MoodyServer&) = delete;
  MoodyServer& operator=(const MoodyServer&) = delete;

  HttpOptions options;
  std::atomic<int> asked = 0;

 private:
  static void say(int peer, std::string_view text) {
    ::send(peer, text.data(), text.size(), MSG_NOSIGNAL);
  }

  void serve() {
    std::vector<Fd> held;
    std::vector<std::jthread> drips;
    for (;;) {
      Fd peer(::accept(listener_.get(), nullptr, nullptr));
      if (peer.get() < 0) return;
      std::array<char, 4096> bytes{};
      const auto n = ::recv(peer.get(), bytes.data(), bytes.size(), 0);
      if (n <= 0) continue;
      const std::string_view request(bytes.data(), static_cast<std::size_t>(n));
      ++asked;
      if (request.starts_with("GET /small ")) {
        say(peer.get(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        continue;
      }
      if (request.starts_with("GET /slow ")) {
        drips.emplace_back([fd = peer.get()] {
          say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n");
          for (int i = 0; i < 6; ++i) {
            std::this_thread::sleep_for(500ms);
            say(fd, "x");
          }
        });
      }
      held.push_back(std::move(peer));
    }
  }

  Fd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::thread thread_;
};

HttpRequest get(std::string path) {
  HttpRequest request;
  request.path = std::move(path);
  return request;
}

template <class Condition>
void wait_for(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + 30s;
  while (!condition()) {
    REQUIRE(std::chrono::steady_clock::now() < end);
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace

TEST_CASE("a silent server is waited for as long as the caller has patience", "[http]") {
  MoodyServer server;
  Http http(server.options);
  const auto began = std::chrono::steady_clock::now();
  const WaitAs patient(Waiting::at_most(300ms));
  CHECK(code_of([&] { http.perform(get("/silent")); }) == Errc::unreachable);
  CHECK(std::chrono::steady_clock::now() - began < soon);
  CHECK(std::chrono::steady_clock::now() - began >= 300ms);
  CHECK(server.asked == 1);  // over all tries: there is no time for another
}

TEST_CASE("a slow server that goes on sending is not silent", "[http]") {
  MoodyServer server;
  Http http(server.options);
  const WaitAs patient(Waiting::at_most(2s));
  const auto began = std::chrono::steady_clock::now();
  CHECK(as_text(http.perform(get("/slow")).body) == "xxxxxx");
  CHECK(std::chrono::steady_clock::now() - began > 2s);
}

TEST_CASE("who is stopped stops at once, and gives its place to others", "[http]") {
  MoodyServer server;
  server.options.connections = 1;
  Http http(server.options);
  std::stop_source stop;
  std::atomic<Errc> code = Errc::internal;
  std::thread blocked([&] {
    Waiting waits;
    waits.stop = stop.get_token();
    const WaitAs stoppable(waits);
    code = code_of([&] { http.perform(get("/silent")); });
  });
  wait_for([&] { return server.asked == 1; });
  std::atomic<bool> queued_ended = false;
  std::thread queued([&] {
    Waiting waits;
    waits.stop = stop.get_token();
    const WaitAs stoppable(waits);
    code_of([&] { http.perform(get("/never asked")); });
    queued_ended = true;
  });
  const auto began = std::chrono::steady_clock::now();
  stop.request_stop();
  blocked.join();
  queued.join();
  CHECK(code == Errc::interrupted);
  CHECK(queued_ended);
  CHECK(as_text(http.perform(get("/small")).body) == "ok");
  CHECK(std::chrono::steady_clock::now() - began < soon);
}

TEST_CASE("who waits for another's fetch can give up", "[single flight]") {
  SingleFlight<int, std::string> flights;
  std::atomic<bool> release = false, begun = false;
  std::thread owner([&] {
    flights.run(1, [&] {
      begun = true;
      while (!release) std::this_thread::sleep_for(1ms);
      return std::string("fetched");
    });
  });
  wait_for([&] { return begun.load(); });
  const auto ask = [&] { return flights.run(1, [] { return std::string("fetched twice"); }); };
  {
    const WaitAs patient(Waiting::at_most(50ms));
    CHECK(code_of(ask) == Errc::unreachable);
  }
  std::stop_source stop;
  stop.request_stop();
  {
    Waiting waits;
    waits.stop = stop.get_token();
    const WaitAs stopped(waits);
    CHECK(code_of(ask) == Errc::interrupted);
  }
  std::string got;
  std::thread patient([&] { got = ask(); });
  release = true;
  owner.join();
  patient.join();
  CHECK((got == "fetched" || got == "fetched twice"));  // the latter where it came too late to join
}

TEST_CASE("an interrupted fetch does not fail those who waited for it", "[single flight]") {
  SingleFlight<int, std::string> flights;
  std::atomic<bool> release = false, begun = false;
  std::thread owner([&] {
    code_of([&] {
      flights.run(1, [&]() -> std::string {
        begun = true;
        while (!release) std::this_thread::sleep_for(1ms);
        throw Error(Errc::interrupted, "somebody pressed Ctrl-C");
      });
    });
  });
  wait_for([&] { return begun.load(); });
  std::string got;
  std::thread other([&] { got = flights.run(1, [] { return std::string("fetched"); }); });
  std::this_thread::sleep_for(20ms);  // most likely it waits by now; right in either case
  release = true;
  owner.join();
  other.join();
  CHECK(got == "fetched");
}
