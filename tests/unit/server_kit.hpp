// SPDX-License-Identifier: Apache-2.0
//
// A server in this process, over a folder of its own, and a client's first steps with it.
#pragma once

#include <unistd.h>

#include <catch2/catch.hpp>
#include <ctime>
#include <filesystem>
#include <future>
#include <thread>

#include "base/error.hpp"
#include "code_of.hpp"
#include "crypto/hash.hpp"
#include "crypto/random.hpp"
#include "remote/seafile_remote.hpp"
#include "server/server.hpp"

namespace nacre::test {

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
    options.faults = folder_ / "faults";  // a test may write one
    options.ready = [&](int p) { port.set_value(p); };
    server_ = std::make_unique<Server>(options);
    thread_ = std::thread([this] { server_->run(); });
    port_ = port.get_future().get();
    request.server.url = "http://127.0.0.1:" + std::to_string(port_);
    request.client = {random_id(), "test"};
    request.user = "me@example.com";
    request.password = &password;
  }
  ~Service() {
    stop();
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

  void stop() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
  }
  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  const Secret password = Secret::copy_of(as_bytes("pass & word"));
  LoginRequest request;

 private:
  std::filesystem::path folder_;
  int port_ = 0;
  std::unique_ptr<Server> server_;
  std::thread thread_;
};

// Sends a tree of `count` files on top of `base` and publishes it.
inline ObjectId send(Remote& remote, const Commit& base, const std::string& stem, int count) {
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
  ids.reserve(objects.size());
  for (const auto& object : objects) ids.push_back(object.id);
  CHECK_FALSE(remote.missing_objects(base.library, ids).empty());
  remote.put_objects(base.library, objects);
  CHECK(remote.missing_objects(base.library, ids).empty());
  for (const auto& [id, text] : blocks) remote.put_block(base.library, id, as_bytes(text));
  const auto head = remote.publish(base.library, commit.id);
  CHECK(remote.objects(base.library, ids).size() == ids.size());
  return head;
}

}  // namespace nacre::test
