// SPDX-License-Identifier: Apache-2.0
//
// What `nacre serve --faults` does wrong, seen from the other end of a plain socket.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <regex>

#include "base/fd.hpp"
#include "server/faults.hpp"
#include "unit/server_kit.hpp"

using namespace nacre;
using test::code_of;
using test::send;
using test::Service;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

struct Answer {
  int status = 0;          // 0: none came
  std::size_t length = 0;  // that was announced
  std::string body;        // that came
  bool reset = false;      // and so the connection ended
};

void write_file_at_once(const std::filesystem::path& path, const std::string& text) {
  const auto fresh = path.string() + ".new";
  std::ofstream(fresh) << text;
  std::filesystem::rename(fresh, path);
}

// A server with a library of three files, and a client that sees every byte.
struct Weather : Service {
  Weather() {
    remote = open();
    library = remote->create_library({random_library_id(), "lib", {}}).id;
    const auto first = remote->commit(library, remote->head(library));
    head = send(*remote, first, "file", 3);
    const auto login = log_in(request);
    api_token = as_text(login.token.bytes());
    const auto info = call("GET", "/api2/repos/" + library.str() + "/download-info/").body;
    std::smatch found;
    REQUIRE(std::regex_search(info, found, std::regex("\"token\": ?\"([0-9a-f]{40})\"")));
    token = found[1];
  }

  void rules(const std::string& text) const { write_file_at_once(folder() / "faults", text); }

  [[nodiscard]] Answer call(const std::string& method, const std::string& path,
                            const std::string& body = {}) const {
    const Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const timeval patience = {.tv_sec = 60, .tv_usec = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    sockaddr_in server = {};
    server.sin_family = AF_INET;
    server.sin_port = htons(static_cast<std::uint16_t>(port()));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd.get(), reinterpret_cast<sockaddr*>(&server), sizeof server) == 0);
    const auto text = method + " " + path +
                      " HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: " +
                      std::to_string(body.size()) + "\r\nAuthorization: Token " +
                      (path.starts_with("/api2") ? api_token : token) + "\r\n\r\n" + body;
    REQUIRE(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
    return read_answer(fd.get());
  }

  [[nodiscard]] Answer sync(const std::string& method, const std::string& rest,
                            const std::string& body = {}) const {
    return call(method, "/seafhttp/repo/" + library.str() + "/" + rest, body);
  }

  static Answer read_answer(int fd) {
    std::string all;
    std::array<char, 4096> piece{};
    ssize_t got = 0;
    while ((got = ::recv(fd, piece.data(), piece.size(), 0)) > 0)
      all.append(piece.data(), static_cast<std::size_t>(got));
    Answer answer;
    answer.reset = got < 0 && errno == ECONNRESET;
    CHECK((got == 0 || answer.reset));
    const auto end = all.find("\r\n\r\n");
    if (end == std::string::npos) return answer;
    answer.body = all.substr(end + 4);
    std::smatch found;
    if (std::regex_search(all, found, std::regex("^HTTP/1.1 ([0-9]+)")))
      answer.status = std::stoi(found[1]);
    if (std::regex_search(all, found, std::regex("Content-Length: ([0-9]+)")))
      answer.length = std::stoul(found[1]);
    return answer;
  }

  // A block, and the file that has it.
  [[nodiscard]] std::pair<std::string, ObjectId> block() const {
    const auto root = remote->commit(library, head).root;
    const auto top = read_directory(root, remote->objects(library, {&root, 1}).at(0).json);
    const auto id = top.entries.at(0).id;
    const auto file = read_file(id, remote->objects(library, {&id, 1}).at(0).json);
    return {"block/" + file.blocks.at(0).hex(), id};
  }

  std::unique_ptr<Remote> remote;
  LibraryId library;
  ObjectId head;
  std::string api_token, token;
};

ObjectId sha1_of(const std::string& text) { return sha1(as_bytes(text)); }

}  // namespace

TEST_CASE("a rule that is none is refused, with its line and what is expected", "[faults]") {
  const auto path = std::filesystem::temp_directory_path() /
                    ("nacre-rules-" + std::to_string(::getpid()) + "-" + random_id().hex());
  const auto [rule, expected] = GENERATE(table<std::string, std::string>({
      {"PATCH /x reset", "'PATCH' is no method; GET, PUT, POST, DELETE or * is expected"},
      {"GET", "a regular expression for the path is expected"},
      {"GET ( reset", "'(' is not a regular expression"},
      {"GET /x", "'' is no action; one of these is expected: reset, hang, delay"},
      {"GET /x teapot", "'teapot' is no action"},
      {"GET /x status", "status wants a number from 400 to 599"},
      {"GET /x status 200", "from 400 to 599, not '200'"},
      {"GET /x hang 601", "hang wants a number from 1 to 600, not '601'"},
      {"GET /x slow 1k", "slow wants a number"},
      {"GET /x reset sometimes 3", "first N, every N, after N or nothing is expected"},
      {"GET /x reset first", "first wants a number"},
      {"GET /x reset every 0", "every wants a number"},
      {"GET /x reset after 1 more", "nothing more is expected, but there is 'more'"},
  }));
  write_file_at_once(path, "# fine:\n\n  * .* delay 1 after 3\n" + rule + "\n");
  try {
    const Faults faults(path);
    FAIL("it was taken: " + rule);
  } catch (const Error& error) {
    CHECK(error.code() == Errc::invalid);
    CHECK_THAT(error.what(), Catch::StartsWith(path.string() + ":4: "));
    CHECK_THAT(error.what(), Catch::Contains(expected));
  }
  std::filesystem::remove(path);
}

TEST_CASE("rules count the requests that match, and the first that applies wins", "[faults]") {
  const auto path = std::filesystem::temp_directory_path() /
                    ("nacre-rules-" + std::to_string(::getpid()) + "-" + random_id().hex());
  Faults faults(path);
  CHECK(faults.of("GET", "/x").empty());  // no file, no faults
  const auto statuses = [&](const std::string& method, const std::string& target, int requests) {
    std::string text;
    for (int i = 0; i < requests; ++i) {
      const auto found = faults.of(method, target);
      text += text.empty() ? "" : " ";
      text += found.empty() ? "-" : std::to_string(found.back().number);
    }
    return text;
  };
  write_file_at_once(
      path,
      "PUT /a status 500 first 2\n* /a status 501 every 2\n* /b$ status 502 after 1\n"
      "GET \\?head= status 503\n");
  // The second rule is not asked while the first applies.
  CHECK(statuses("PUT", "/a", 6) == "500 500 - 501 - 501");
  CHECK(statuses("GET", "/a", 2) == "- 501");
  CHECK(statuses("POST", "/x/b", 3) == "- 502 502");
  CHECK(statuses("POST", "/b/x", 2) == "- -");
  CHECK(statuses("GET", "/c/?head=1", 1) == "503");
  write_file_at_once(path, "* . delay 1\n* . delay 2 every 2\n* . reset after 2\n* . hang 5\n");
  const auto counts = [&] {
    std::vector<std::uint32_t> numbers;
    for (const auto& fault : faults.of("GET", "/")) numbers.push_back(fault.number);
    return numbers;
  };
  CHECK(counts() == std::vector<std::uint32_t>{1, 5});
  CHECK(counts() == std::vector<std::uint32_t>{1, 2, 5});
  CHECK(counts() == std::vector<std::uint32_t>{1, 0});
  write_file_at_once(path, "* . nonsense\n");
  CHECK(counts() == std::vector<std::uint32_t>{1, 2, 0});  // the old rules stay, and their counts
  std::filesystem::remove(path);
  CHECK(counts().empty());
}

TEST_CASE_METHOD(Weather, "a connection is reset, and nothing was done", "[faults]") {
  rules("PUT /block/ reset\n* /commit/HEAD reset every 2\n");
  const std::string text = "a block of its own";
  const auto id = sha1_of(text);
  const auto answer = sync("PUT", "block/" + id.hex(), text);
  CHECK(answer.reset);
  CHECK(answer.status == 0);
  CHECK(remote->missing_blocks(library, {&id, 1}).size() == 1);
  CHECK(sync("GET", "commit/HEAD").status == 200);
  CHECK(sync("GET", "commit/HEAD").reset);
  CHECK(sync("GET", "commit/HEAD").status == 200);
}

TEST_CASE_METHOD(Weather, "an answer is lost, and the work was done", "[faults]") {
  rules("PUT /block/ lose-answer\n");
  const std::string text = "a block of its own";
  const auto id = sha1_of(text);
  const auto answer = sync("PUT", "block/" + id.hex(), text);
  CHECK(answer.reset);
  CHECK(answer.status == 0);
  CHECK(remote->missing_blocks(library, {&id, 1}).empty());
}

TEST_CASE_METHOD(Weather, "a request is refused with any status", "[faults]") {
  const auto status = GENERATE(401, 403, 404, 429, 443, 444, 500, 502, 503);
  rules("GET /commit/HEAD status " + std::to_string(status) + "\n");
  const auto answer = sync("GET", "commit/HEAD");
  CHECK(answer.status == status);
  CHECK_FALSE(answer.reset);
}

TEST_CASE_METHOD(Weather, "a body is cut in half, and its whole length was announced", "[faults]") {
  const auto [path, file] = block();
  const auto whole = sync("GET", path).body;
  rules("* . truncate\n");
  for (const auto& answer : {sync("GET", path), sync("GET", "fs/" + file.hex())}) {
    CHECK(answer.status == 200);
    CHECK(answer.length > 1);
    CHECK(answer.body.size() == answer.length / 2);
  }
  CHECK(whole.starts_with(sync("GET", path).body));
  const auto empty = sync("GET", "permission-check/?op=upload");
  CHECK(empty.length == 1);
  CHECK(empty.body.empty());
}

TEST_CASE_METHOD(Weather, "one bit of a body is wrong", "[faults]") {
  const auto [path, file] = block();
  const auto whole = sync("GET", path).body;
  rules("* . corrupt\n");
  const auto changed = sync("GET", path).body;
  REQUIRE(changed.size() == whole.size());
  std::vector<std::size_t> differ;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    if (whole[i] != changed[i]) differ.push_back(i);
  }
  CHECK(differ == std::vector<std::size_t>{whole.size() / 2});
  CHECK(sync("GET", "permission-check/?op=upload").status == 200);  // nothing to flip
  rules("GET /block/ corrupt\nPOST /pack-fs corrupt\n");
  const auto id = ObjectId::parse(path.substr(6));
  REQUIRE(id);
  CHECK(code_of([&] { remote->block(library, *id); }) == Errc::corrupt);
  CHECK(code_of([&, object = file] { remote->objects(library, {&object, 1}); }) == Errc::corrupt);
}

TEST_CASE_METHOD(Weather, "something else is sent than what was asked for", "[faults]") {
  const auto [path, file] = block();
  const auto asked = ObjectId::parse(path.substr(6));
  REQUIRE(asked);
  const auto commit = sync("GET", "commit/" + head.hex()).body;
  const auto heads_body = "[\"" + library.str() + "\"]";
  rules("* . wrong-id\n");
  const auto other = sync("GET", path);
  CHECK(other.status == 200);
  const auto other_id = sha1_of(other.body);
  CHECK(other_id != *asked);

  const auto other_commit = sync("GET", "commit/" + head.hex());
  CHECK(other_commit.status == 200);
  CHECK(other_commit.body != commit);
  CHECK_THAT(other_commit.body, Catch::Contains(library.str()));

  CHECK(code_of([&, object = file] { remote->objects(library, {&object, 1}); }) == Errc::corrupt);
  CHECK(code_of([&] { remote->block(library, *asked); }) == Errc::corrupt);
  CHECK(code_of([&] { remote->commit(library, head); }) == Errc::corrupt);

  const auto nobodys = remote->head(library);
  CHECK(nobodys == sha1_of(head.hex()));
  const auto multi = call("POST", "/seafhttp/repo/head-commits-multi/", heads_body);
  CHECK_THAT(multi.body, Catch::Contains(library.str()) && Catch::Contains(nobodys.hex()));
  rules("");
  CHECK(remote->missing_blocks(library, {&other_id, 1}).empty());  // it is one of its own
  CHECK(sync("GET", "commit/" + nobodys.hex()).status == 404);
}

TEST_CASE_METHOD(Weather, "answers are late, and bodies dribble", "[faults]") {
  const auto path = block().first;
  const auto whole = sync("GET", path).body;
  REQUIRE(whole.size() >= 5);
  rules("GET /block/ delay 200\nGET /block/ slow 10\n");
  const auto began = Clock::now();
  const auto answer = sync("GET", path);
  CHECK(answer.body == whole);
  CHECK(Clock::now() - began >= 200ms + 100ms * whole.size());
}

TEST_CASE_METHOD(Weather, "a server that does not answer can be stopped all the same", "[faults]") {
  rules("GET /commit/HEAD hang 600\nPOST . delay 600000\n");
  auto hanging = std::async(std::launch::async, [this] { return sync("GET", "commit/HEAD"); });
  auto late =
      std::async(std::launch::async, [this] { return sync("POST", "check-blocks/", "[]"); });
  CHECK(hanging.wait_for(300ms) == std::future_status::timeout);
  CHECK(late.wait_for(0s) == std::future_status::timeout);
  const auto began = Clock::now();
  stop();
  CHECK(Clock::now() - began < 20s);
  CHECK(hanging.get().status == 0);
  CHECK(late.get().status == 0);
}

TEST_CASE("a server that is stopped does not wait for clients that are idle") {
  Service service;
  const auto remote = service.open();
  CHECK(remote->libraries().empty());
  const auto began = Clock::now();
  service.stop();
  CHECK(Clock::now() - began < 20s);
}

TEST_CASE_METHOD(Weather, "silence ends by itself", "[faults]") {
  rules("GET /commit/HEAD hang 1\n");
  const auto began = Clock::now();
  CHECK(sync("GET", "commit/HEAD").reset);
  CHECK(Clock::now() - began >= 1s);
}

TEST_CASE_METHOD(Weather, "somebody else is always a commit ahead", "[faults]") {
  rules("PUT /commit/HEAD move-head\n");
  const auto mine = send(*remote, remote->commit(library, head), "mine", 1);
  const auto merge = remote->commit(library, mine);
  REQUIRE(merge.second_parent);
  const auto again = send(*remote, merge, "again", 1);
  const auto root = remote->commit(library, again).root;
  const auto top = read_directory(root, remote->objects(library, {&root, 1}).at(0).json);
  CHECK(top.entries.size() == 7);
  for (const auto* name : {"mine0", "again0", "moved 1.txt", "moved 2.txt"}) {
    CAPTURE(name);
    CHECK(top.find(name) != nullptr);
  }
}

TEST_CASE_METHOD(Weather, "a token that was taken out of the file is known no more", "[accounts]") {
  const auto tokens = folder() / "tokens";
  std::string kept, all;
  {
    std::ifstream in(tokens);
    for (std::string line; std::getline(in, line);) {
      all += line + "\n";
      if (!line.ends_with(library.str())) kept += line + "\n";
    }
  }
  REQUIRE(kept != all);
  write_file_at_once(tokens, kept);
  CHECK(sync("GET", "commit/HEAD").status == 403);
  CHECK(call("GET", "/api2/auth/ping/").status == 200);
  write_file_at_once(tokens, "");
  CHECK(call("GET", "/api2/auth/ping/").status == 401);
  write_file_at_once(tokens, all);
  CHECK(sync("GET", "commit/HEAD").status == 200);
  CHECK(call("GET", "/api2/auth/ping/").status == 200);
  // What the server writes from now on begins with what is there.
  CHECK(call("GET", "/api2/repos/" + library.str() + "/download-info/").status == 200);
  CHECK(sync("GET", "commit/HEAD").status == 200);
}

TEST_CASE_METHOD(Weather, "a user who is added while the server runs can log in", "[accounts]") {
  const auto other = Secret::copy_of(as_bytes("another password"));
  auto theirs = request;
  theirs.user = "you@example.com";
  theirs.password = &other;
  CHECK(code_of([&] { log_in(theirs); }) == Errc::wrong_password);
  add_user(folder(), theirs.user, other);
  CHECK(log_in(theirs).user == theirs.user);
  CHECK(log_in(request).user == request.user);
}
