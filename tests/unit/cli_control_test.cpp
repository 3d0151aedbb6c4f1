// SPDX-License-Identifier: Apache-2.0
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstring>
#include <latch>
#include <thread>

#include "base/error.hpp"
#include "code_of.hpp"
#include "fs/control.hpp"
#include "unit/cli_home.hpp"

namespace nacre {
namespace {

using test::code_of;

using std::chrono::seconds;

struct Daemon : test::Home {
  std::filesystem::path socket = control_path("/a/mountpoint");
  std::atomic<int> calls = 0;

  ControlServer serve() {
    return ControlServer(socket, [this](ControlRequest request) -> ControlReply {
      ++calls;
      if (request.words[0] == "fail") throw Error(Errc::wrong_password, "no: why; do");
      std::string all;
      for (const auto& word : request.words) all += word + "|";
      if (request.secret) all += as_text(request.secret->bytes());
      return {0, all};
    });
  }

  // Sends these bytes and nothing more; the whole answer.
  std::string send_raw(std::string_view bytes) const {
    const Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0);
    ::shutdown(fd.get(), SHUT_WR);
    std::string answer;
    char c = 0;
    while (::read(fd.get(), &c, 1) == 1) answer += c;
    return answer;
  }
};

TEST_CASE_METHOD(Daemon, "words and a secret arrive as they were sent", "[control]") {
  const auto server = serve();
  ControlRequest request{.words = {"unlock", "Private, \xc3\xbc", ""}, .secret = std::nullopt};
  request.secret = Secret::copy_of(as_bytes(std::string_view("a\0b", 3)));
  const auto reply = control_call(socket, request, seconds(10));
  CHECK(reply.status == 0);
  CHECK(reply.text == "unlock|Private, \xc3\xbc||" + std::string("a\0b", 3));
}

TEST_CASE_METHOD(Daemon, "what a handler throws becomes status and text", "[control]") {
  const auto server = serve();
  const auto reply = control_call(socket, {.words = {"fail"}, .secret = std::nullopt}, seconds(10));
  CHECK(reply.status == 3);
  CHECK(reply.text == "no: why; do");
}

TEST_CASE_METHOD(Daemon, "the socket is for its owner alone, and goes with the server",
                 "[control]") {
  {
    const auto server = serve();
    struct stat st = {};
    REQUIRE(::stat(socket.c_str(), &st) == 0);
    CHECK((st.st_mode & 07777U) == 0600);
    REQUIRE(::stat(socket.parent_path().c_str(), &st) == 0);
    CHECK((st.st_mode & 07777U) == 0700);
  }
  CHECK_FALSE(std::filesystem::exists(socket));
  CHECK(code_of([&] {
          control_call(socket, {{"status"}, std::nullopt}, seconds(1));
        }) == Errc::unreachable);
}

TEST_CASE_METHOD(Daemon, "a folder that others can enter is not trusted with the socket",
                 "[control]") {
  std::filesystem::create_directories(socket.parent_path());
  ::chmod(socket.parent_path().c_str(), 0755);
  CHECK(code_of([&] { serve(); }) == Errc::denied);
}

TEST_CASE_METHOD(Daemon, "a second daemon is refused, and a dead one's socket is taken over",
                 "[control]") {
  {
    const auto server = serve();
    CHECK(code_of([&] { serve(); }) == Errc::busy);
    CHECK(control_call(socket, {{"still"}, std::nullopt}, seconds(10)).text == "still|");
  }
  const Fd dead(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket.c_str(), sizeof address.sun_path - 1);
  REQUIRE(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const auto server = serve();
  CHECK(control_call(socket, {{"new"}, std::nullopt}, seconds(10)).text == "new|");
}

TEST_CASE_METHOD(Daemon, "garbage and oversized requests are refused without being handled",
                 "[control]") {
  const auto server = serve();
  using namespace std::string_literals;
  const auto bytes = GENERATE(
      "x"s, "GET / HTTP/1.1\r\n\r\n"s, "NACR\x02\x01\0\0\0"s,    // no request, another version
      "NACR\x01\0\0\0\0\0\0\0\0"s, "NACR\x01\xff\xff\xff\xff"s,  // no words, too many
      "NACR\x01\x01\0\0\0\xff\xff\xff\xff"s,                     // a word of 4 GiB
      "NACR\x01\x01\0\0\0\x06\0\0\0status"s,                     // ends before the secret
      "NACR\x01\x01\0\0\0\x06\0\0\0status\xff\xff\xff\x7f"s);    // a secret of 2 GiB
  const auto answer = send_raw(bytes);
  CHECK((answer.empty() || answer[0] != 0));
  CHECK(calls == 0);
  CHECK(control_call(socket, {{"fine"}, std::nullopt}, seconds(10)).text == "fine|");
}

TEST_CASE_METHOD(Daemon, "a request of more than 1 MiB is refused", "[control]") {
  const auto server = serve();
  const ControlRequest large{{std::string(std::size_t{2} << 20U, 'x')}, std::nullopt};
  int status = 0;
  try {
    status = control_call(socket, large, seconds(10)).status;
  } catch (const Error& e) {
    status = exit_status(e.code());  // refused while we were still sending
  }
  CHECK(status != 0);
  CHECK(calls == 0);
}

TEST_CASE_METHOD(Daemon, "a slow answer is waited for so long and no longer, others meanwhile",
                 "[control]") {
  std::latch release(1);
  const ControlServer server(socket, [&](const ControlRequest& request) -> ControlReply {
    if (request.words[0] == "slow") release.wait();
    return {0, "done"};
  });
  CHECK(code_of([&] {
          control_call(socket, {{"slow"}, std::nullopt}, seconds(1));
        }) == Errc::interrupted);
  CHECK(control_call(socket, {{"quick"}, std::nullopt}, seconds(10)).text == "done");
  release.count_down();
}

TEST_CASE_METHOD(Daemon, "who has hung up is known to be gone, and who asks is known",
                 "[control]") {
  std::latch gone(1);
  pid_t asked_by = 0;
  const ControlServer server(socket, [&](const ControlRequest& request) -> ControlReply {
    asked_by = request.caller;
    if (request.words[0] == "wait") {
      const std::stop_callback told(request.gone, [&] { gone.count_down(); });
      gone.wait();
    }
    return {0, request.gone.stop_requested() ? "gone" : "there"};
  });
  CHECK(code_of([&] {
          control_call(socket, {{"wait"}, std::nullopt}, seconds(1));
        }) == Errc::interrupted);
  gone.wait();  // because it did not wait any longer
  CHECK(control_call(socket, {{"quick"}, std::nullopt}, seconds(10)).text == "there");
  CHECK(asked_by == ::getpid());
}

TEST_CASE_METHOD(Daemon, "a reply under way is finished before the server goes", "[control]") {
  std::latch asked(1), release(1);
  std::optional<ControlServer> server(std::in_place, socket,
                                      [&](const ControlRequest&) -> ControlReply {
                                        asked.count_down();
                                        release.wait();
                                        return {0, "bye"};
                                      });
  std::string text;
  std::jthread caller([&] {
    text = control_call(socket, {{"umount"}, std::nullopt}, seconds(20)).text;
  });
  asked.wait();
  std::jthread releaser([&] { release.count_down(); });
  server.reset();
  caller.join();
  CHECK(text == "bye");
}

TEST_CASE_METHOD(Daemon, "a runtime folder with a long name works as well", "[control]") {
  const auto deep = dir.path() / std::string(120, 'r');
  std::filesystem::create_directory(deep);
  ::setenv("XDG_RUNTIME_DIR", deep.c_str(), 1);
  socket = control_path("/a/mountpoint");
  const auto server = serve();
  CHECK(control_call(socket, {{"far"}, std::nullopt}, seconds(10)).text == "far|");
}

TEST_CASE_METHOD(Daemon, "the process behind a socket is known", "[control]") {
  const auto server = serve();
  CHECK(control_peer(socket) == ::getpid());
}

}  // namespace
}  // namespace nacre
