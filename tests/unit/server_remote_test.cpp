// SPDX-License-Identifier: Apache-2.0
//
// The Seafile remote and the server, over a real connection: a library's whole life.
#include <unistd.h>

#include <catch2/catch.hpp>
#include <ctime>
#include <filesystem>
#include <future>
#include <thread>

#include "base/error.hpp"
#include "crypto/hash.hpp"
#include "crypto/random.hpp"
#include "remote/seafile_remote.hpp"
#include "server/server.hpp"

using namespace nacre;

namespace {

class Service {
 public:
  Service() {
    auto pattern = (std::filesystem::temp_directory_path() / "nacre-serve-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    add_user(folder_, "me@example.com", password);
    std::promise<int> port;
    ServerOptions options;
    options.dir = folder_;
    options.ready = [&](int p) { port.set_value(p); };
    server_ = std::make_unique<Server>(options);
    thread_ = std::thread([this] { server_->run(); });
    request.server.url = "http://127.0.0.1:" + std::to_string(port.get_future().get());
    request.client = {random_id(), "test"};
    request.user = "me@example.com";
    request.password = &password;
  }
  ~Service() {
    server_->stop();
    thread_.join();
    std::filesystem::remove_all(folder_);
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

  std::unique_ptr<Remote> open() {
    auto login = log_in(request);
    SeafileOptions options;
    options.server = request.server;
    options.client = request.client;
    options.user = login.user;
    return open_seafile_remote(options, std::move(login.token));
  }

  const Secret password = Secret::copy_of(as_bytes("pass & word"));
  LoginRequest request;

 private:
  std::filesystem::path folder_;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

template <class F>
Errc code_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.code();
  }
  FAIL("nothing was thrown");
  return Errc::internal;
}

// Sends a tree of `count` files on top of `base` and publishes it.
ObjectId send(Remote& remote, const Commit& base, const std::string& stem, int count) {
  Directory root;
  if (!base.root.is_empty()) {
    root = read_directory(base.root, remote.objects(base.library, {&base.root, 1}).front().json);
  }
  std::vector<FsObject> objects;
  std::vector<std::pair<ObjectId, std::string>> blocks;
  for (int i = 0; i < count; ++i) {
    const auto text = stem + " " + std::to_string(i) + "\n";
    const auto block = sha1(as_bytes(text));
    blocks.emplace_back(block, text);
    auto json = write_file({text.size(), {block}});
    const auto id = sha1(json);
    objects.push_back({id, std::move(json)});
    root.entries.push_back(
        {stem + std::to_string(i), id, mode_file, 1700000000, text.size(), remote.user()});
  }
  root.sort();
  auto json = write_directory(root);
  const auto top = sha1(json);
  objects.push_back({top, std::move(json)});

  const auto commit = next_commit(base, top, remote.user(), ObjectId{{1}}, "Added " + stem,
                                  std::max<std::int64_t>(std::time(nullptr), base.ctime + 1));
  remote.check_upload(base.library, 1000);
  remote.put_commit(commit);
  std::vector<ObjectId> ids;
  for (const auto& object : objects) ids.push_back(object.id);
  CHECK_FALSE(remote.missing_objects(base.library, ids).empty());
  remote.put_objects(base.library, objects);
  CHECK(remote.missing_objects(base.library, ids).empty());
  for (const auto& [id, text] : blocks) remote.put_block(base.library, id, as_bytes(text));
  const auto head = remote.publish(base.library, commit.id);
  CHECK(remote.objects(base.library, ids).size() == ids.size());
  return head;
}

}  // namespace

TEST_CASE("a library is made, listed, written, read and merged over the wire") {
  Service service;
  const auto remote = service.open();
  CHECK(remote->user() == "me@example.com");
  const auto made = remote->create_library({random_library_id(), "Süßes & Saures", {}});
  auto listed = remote->libraries();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0].id == made.id);
  CHECK(listed[0].name == "Süßes & Saures");
  CHECK(listed[0].writable);
  CHECK_FALSE(listed[0].encrypted);

  const auto empty = remote->commit(made.id, remote->head(made.id));
  const auto first = send(*remote, empty, "a", 250);  // more than one pack asks for
  CHECK(remote->head(made.id) == first);
  const auto heads = remote->heads({&made.id, 1});
  REQUIRE(heads.size() == 1);
  CHECK(heads[0].head == first);

  // On an old base: the server merges, and says so.
  const auto second = send(*remote, empty, "b", 3);
  const auto merge = remote->commit(made.id, second);
  CHECK(merge.parent == first);
  CHECK(merge.second_parent);
  const auto top = read_directory(merge.root, remote->objects(made.id, {&merge.root, 1})[0].json);
  CHECK(top.entries.size() == 253);

  const auto file =
      read_file(top.entries[0].id, remote->objects(made.id, {&top.entries[0].id, 1})[0].json);
  CHECK(remote->block(made.id, file.blocks.at(0)).size() == file.size);
  CHECK(remote->block_sizes(made.id, top.entries[0].id) == std::vector<std::uint64_t>{file.size});
  const ObjectId lost{{9}};
  CHECK(remote->missing_blocks(made.id, {&lost, 1}).size() == 1);
  CHECK(code_of([&] { remote->block(made.id, lost); }) == Errc::not_found);
  CHECK(code_of([&] { remote->objects(made.id, {&lost, 1}); }) == Errc::not_found);
  CHECK_NOTHROW(remote->quota());
}

TEST_CASE("an encrypted library is made with the client's keys and under the client's id") {
  Service service;
  const auto remote = service.open();
  const auto id = random_library_id();
  const auto keys = make_library_key(id, 4, Secret::copy_of(as_bytes("library password")));
  CHECK(remote->create_library({id, "secret", keys.encryption}).id == id);
  CHECK(remote->libraries().at(0).encrypted);
  CHECK(remote->commit(id, remote->head(id)).encryption == keys.encryption);
}

TEST_CASE("a wrong password and a token that was logged out are turned away") {
  Service service;
  auto request = service.request;
  const auto wrong = Secret::copy_of(as_bytes("wrong"));
  request.password = &wrong;
  CHECK(code_of([&] { log_in(request); }) == Errc::wrong_password);
  const auto login = log_in(service.request);
  request.password = nullptr;
  request.token = &login.token;
  CHECK(log_in(request).user == "me@example.com");
  log_out(request.server, login.token);
  CHECK(code_of([&] { log_in(request); }) == Errc::denied);
  CHECK_NOTHROW(log_out(request.server, login.token));
}
