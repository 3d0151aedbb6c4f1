// SPDX-License-Identifier: Apache-2.0
//
// How the Seafile remote stands up to servers that are slow of word, forgetful,
// or lie.  That it gets along with a good one is seen in server's and interop's tests.
#include <httplib.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <mutex>
#include <thread>

#include "base/error.hpp"
#include "crypto/hash.hpp"
#include "remote/seafile_remote.hpp"
#include "remote/wire.hpp"

using namespace nacre;

namespace {

const LibraryId library = *LibraryId::parse("02c7b845-c2d1-446c-bff7-3b8b34dd47a7");
const std::string api_token(40, 'a');

template <class F>
std::pair<Errc, std::string> failure_of(F&& f) {
  try {
    f();
  } catch (const Error& e) {
    return {e.code(), e.what()};
  }
  FAIL("nothing was thrown");
  return {Errc::internal, ""};
}

template <class F>
Errc code_of(F&& f) {
  return failure_of(std::forward<F>(f)).first;
}

using httplib::Request;
using httplib::Response;

// The little of a server that a test needs, over HTTP, with faults to switch on.
class Peer {
 public:
  Peer() {
    server_.new_task_queue = [] { return new httplib::ThreadPool(8); };
    server_.set_tcp_nodelay(true);
    const std::string repo = "/seafhttp/repo/" + library.str();
    server_.Get("/api2/repos/" + library.str() + "/download-info/",
                [this](const Request& request, Response& response) {
                  if (request.get_header_value("Authorization") != "Token " + api_token) {
                    response.status = 401;
                    return;
                  }
                  const std::lock_guard lock(mutex_);
                  ++tokens_issued;
                  current_ = "sync" + std::to_string(tokens_issued);
                  response.set_content(R"({"token": ")" + current_ + R"(", "repo_id": ")" +
                                           library.str() + R"(", "repo_name": "n"})",
                                       "application/json");
                });
    server_.set_pre_routing_handler([this](const Request& request, Response& response) {
      const bool guarded = request.path.starts_with("/seafhttp/repo/" + library.str());
      const std::lock_guard lock(mutex_);
      if (guarded && (request.get_header_value("Seafile-Repo-Token") != current_ ||
                      request.get_header_value("Authorization") != "Token " + current_)) {
        response.status = 403;
        response.set_header("Connection", "close");  // its body was not read
        return httplib::Server::HandlerResponse::Handled;
      }
      return httplib::Server::HandlerResponse::Unhandled;
    });
    server_.Post(repo + "/pack-fs/", [this](const Request& request, Response& response) {
      ++packs_asked;
      Bytes pack;
      std::size_t count = 0;
      for (const auto& id : read_ids(as_bytes(request.body))) {
        if (!objects.contains(id)) {
          response.status = 500;
          response.set_content("partial", "text/plain");
          return;
        }
        append_packed(pack, id, deflate(objects.at(id)));
        if (++count == pack_limit) break;
      }
      response.set_content(std::string(as_text(pack)), "application/octet-stream");
    });
    const auto missing = [](const auto& held) {
      return [&held](const Request& request, Response& response) {
        std::vector<ObjectId> lacking;
        for (const auto& id : read_ids(as_bytes(request.body))) {
          if (!held.contains(id)) lacking.push_back(id);
        }
        response.set_content(write_ids(lacking), "application/json");
      };
    };
    server_.Post(repo + "/check-fs/", missing(objects));
    server_.Post(repo + "/check-blocks/", missing(blocks));
    server_.Get(repo + "/block/([0-9a-f]{40})", [this](const Request& request, Response& response) {
      const auto at = blocks.find(*ObjectId::parse(request.matches[1].str()));
      if (at == blocks.end()) {
        response.status = 500;
      } else {
        response.set_content(std::string(as_text(at->second)), "application/octet-stream");
      }
    });
    server_.Get(repo + "/commit/HEAD", [this](const Request&, Response& response) {
      const std::lock_guard lock(mutex_);
      response.set_content(R"({"is_corrupted": 0, "head_commit_id": ")" + head.hex() + "\"}",
                           "application/json");
    });
    server_.Put(repo + "/commit/HEAD/", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      ++published;
      if (publish_status == 200 || published > refusals) {
        head = *ObjectId::parse(request.get_param_value("head"));
      } else {
        if (takes_anyway) head = *ObjectId::parse(request.get_param_value("head"));
        response.status = publish_status;
        response.set_content(R"(["q.txt"])", "application/json");
      }
    });
    server_.Put(repo + "/commit/([0-9a-f]{40})", [this](const Request& request, Response&) {
      const std::lock_guard lock(mutex_);
      commits[*ObjectId::parse(request.matches[1].str())] = request.body;
    });
    server_.Get(repo + "/commit/([0-9a-f]{40})",
                [this](const Request& request, Response& response) {
                  const std::lock_guard lock(mutex_);
                  const auto at = commits.find(*ObjectId::parse(request.matches[1].str()));
                  response.status = at == commits.end() ? 404 : 200;
                  if (at != commits.end()) response.set_content(at->second, "application/json");
                });
    server_.Get(repo + "/permission-check/", [this](const Request& request, Response& response) {
      client_name = request.get_param_value("client_name");
      response.status = permission_status;
    });
    server_.Get(repo + "/quota-check/",
                [this](const Request&, Response& response) { response.status = quota_status; });
    server_.Post("/seafhttp/repo/head-commits-multi/", [this](const Request&, Response& response) {
      if (!knows_multi) {
        response.status = 404;
        return;
      }
      response.set_content(R"({")" + library.str() + R"(": ")" + head.hex() +
                               R"(", "eff19f16-dde5-4cfe-9f16-f60000000000": ")" + head.hex() +
                               "\"}",
                           "application/json");
    });
    server_.Get("/api2/repo-tokens/", [this](const Request&, Response& response) {
      const std::lock_guard lock(mutex_);
      ++batches_issued;
      current_ = "batch";
      response.set_content(R"({")" + library.str() + R"(": "batch"})", "application/json");
    });
    server_.Post("/api2/auth-token/", [](const Request& request, Response& response) {
      if (request.get_param_value("password") != "p&=ss w" ||
          request.get_param_value("username") != "me@example.com" ||
          request.get_param_value("platform") != "linux" ||
          request.get_param_value("device_id").size() != 40) {
        response.status = 400;
        response.set_content(R"({"non_field_errors": ["Unable to login."]})", "application/json");
      } else if (request.get_header_value("X-SEAFILE-OTP") != "123456") {
        response.status = 400;
        response.set_header("X-Seafile-OTP", "required");
      } else {
        response.set_content(R"({"token": ")" + api_token + "\"}", "application/json");
      }
    });
    server_.Get("/api2/account/info/", [](const Request& request, Response& response) {
      if (request.get_header_value("Authorization") != "Token " + api_token) {
        response.status = 401;
        return;
      }
      response.set_content(R"({"email": "real@example.com", "usage": 5, "total": -2})",
                           "application/json");
    });
    const int port = server_.bind_to_any_port("127.0.0.1");
    address.url = "http://127.0.0.1:" + std::to_string(port);
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::yield();
  }
  ~Peer() {
    server_.stop();
    thread_.join();
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  std::unique_ptr<Remote> open(bool unverified = false) {
    SeafileOptions options;
    options.server = address;
    options.client = {*ObjectId::parse(std::string(40, 'c')), "my host ü"};
    options.user = "me";
    options.unverified_blocks = unverified;
    return open_seafile_remote(options, Secret::copy_of(as_bytes(api_token)));
  }
  void revoke() {
    const std::lock_guard lock(mutex_);
    current_ = "none";
  }

  ServerAddress address;
  std::map<ObjectId, Bytes> objects, blocks;
  std::map<ObjectId, std::string> commits;
  ObjectId head;
  std::size_t pack_limit = 1000;
  std::atomic<int> packs_asked = 0, tokens_issued = 0, batches_issued = 0, published = 0;
  int publish_status = 200, refusals = 0, permission_status = 200, quota_status = 200;
  bool takes_anyway = false, knows_multi = true;
  std::string client_name;

 private:
  std::mutex mutex_;
  std::string current_;
  httplib::Server server_;
  std::thread thread_;
};

ObjectId add(std::map<ObjectId, Bytes>& to, const std::string& text) {
  const auto id = sha1(as_bytes(text));
  to[id] = Bytes(text.begin(), text.end());
  return id;
}

Commit some_commit(const std::string& description) {
  Commit commit;
  commit.library = library;
  commit.root = sha1(as_bytes(description));
  commit.creator_name = "me";
  commit.description = description;
  commit.ctime = 1700000000;
  commit.parent = ObjectId{{1}};
  commit.library_name = "n";
  commit.id = commit_id(commit);
  return commit;
}

}  // namespace

TEST_CASE("objects come whole although the server stops short of what was asked") {
  Peer peer;
  std::vector<ObjectId> ids;
  for (int i = 0; i < 250; ++i) ids.push_back(add(peer.objects, "object " + std::to_string(i)));
  ids.push_back(ids.front());  // twice asked is once given
  peer.pack_limit = 40;
  const auto remote = peer.open();
  const auto objects = remote->objects(library, ids);
  REQUIRE(objects.size() == 250);
  for (const auto& object : objects) CHECK(sha1(object.json) == object.id);
  CHECK(peer.packs_asked == 8);
  CHECK(peer.tokens_issued == 1);
  CHECK(remote->objects(library, {}).empty());
}

TEST_CASE("an object that does not match its id is refused by name") {
  Peer peer;
  const auto id = add(peer.objects, "right");
  peer.objects[id] = {'w', 'r', 'o', 'n', 'g'};
  const auto [code, text] = failure_of([&] { peer.open()->objects(library, {&id, 1}); });
  CHECK(code == Errc::corrupt);
  CHECK(text.find(id.hex()) != std::string::npos);
}

TEST_CASE("a pack without a single object ends the asking") {
  Peer peer;
  peer.objects[ObjectId{{5}}] = {};
  const ObjectId id{{5}};
  CHECK(code_of([&] { peer.open()->objects(library, {&id, 1}); }) == Errc::corrupt);
}

TEST_CASE("what the server lost is not found, and named") {
  Peer peer;
  const auto held = add(peer.objects, "held");
  const ObjectId lost{{9}};
  const auto remote = peer.open();
  const std::vector<ObjectId> both = {lost, held};
  CHECK(code_of([&] { remote->objects(library, {&lost, 1}); }) == Errc::not_found);
  CHECK_THROWS_AS(remote->objects(library, both), Error);
  CHECK(code_of([&] { remote->block(library, lost); }) == Errc::not_found);
  CHECK(code_of([&] { remote->commit(library, lost); }) == Errc::not_found);
  CHECK(remote->missing_objects(library, both) == std::vector<ObjectId>{lost});
}

TEST_CASE("a block must match its id, unless asked otherwise") {
  Peer peer;
  const auto good = add(peer.blocks, std::string(100'000, 'x'));
  const ObjectId random{{7}};
  peer.blocks[random] = {'a', 'b'};
  CHECK(peer.open()->block(library, good).size() == 100'000);
  const auto [code, text] = failure_of([&] { peer.open()->block(library, random); });
  CHECK(code == Errc::corrupt);
  CHECK(text.find("-o unverified-blocks") != std::string::npos);
  CHECK(peer.open(true)->block(library, random).size() == 2);
}

TEST_CASE("a revoked library token is replaced once, a lost permission is told") {
  Peer peer;
  const auto remote = peer.open();
  peer.head = ObjectId{{3}};
  CHECK(remote->head(library) == peer.head);
  CHECK(peer.tokens_issued == 1);
  peer.revoke();
  CHECK(remote->head(library) == peer.head);
  CHECK(peer.tokens_issued == 2);
  CHECK(remote->head(library) == peer.head);
  CHECK(peer.tokens_issued == 2);

  peer.permission_status = 403;
  CHECK(code_of([&] { remote->check_upload(library, 1); }) == Errc::read_only);
  CHECK(peer.client_name == "my host ü");
  peer.permission_status = 444;
  CHECK(code_of([&] { remote->check_upload(library, 1); }) == Errc::gone);
  peer.permission_status = 200;
  peer.quota_status = 443;
  CHECK(code_of([&] { remote->check_upload(library, 1); }) == Errc::quota);
}

TEST_CASE("heads come in one request, or one by one where the server is old") {
  Peer peer;
  peer.head = ObjectId{{3}};
  const auto remote = peer.open();
  auto heads = remote->heads({&library, 1});
  REQUIRE(heads.size() == 1);  // what was not asked for is left out
  CHECK(heads[0].head == peer.head);
  CHECK(peer.tokens_issued == 0);
  peer.knows_multi = false;
  heads = remote->heads({&library, 1});
  REQUIRE(heads.size() == 1);
  CHECK(heads[0].head == peer.head);
  CHECK(peer.batches_issued == 1);
}

TEST_CASE("a commit is published once, whatever becomes of the answer") {
  Peer peer;
  const auto remote = peer.open();
  const auto commit = some_commit("one");
  remote->put_commit(commit);
  CHECK(remote->commit(library, commit.id).description == "one");
  const auto old = some_commit("old");
  remote->put_commit(old);
  peer.head = old.id;
  peer.commits[*old.parent] = peer.commits[old.id];

  SECTION("taken") {
    CHECK(remote->publish(library, commit.id) == commit.id);
    CHECK(peer.published == 1);
  }
  SECTION("taken, but the answer is lost") {
    peer.publish_status = 502;
    peer.refusals = 1;
    peer.takes_anyway = true;
    CHECK(remote->publish(library, commit.id) == commit.id);
    CHECK(peer.published == 1);
  }
  SECTION("garbage was collected: all is to be sent again") {
    peer.publish_status = 409;
    peer.refusals = 1;
    CHECK(code_of([&] { remote->publish(library, commit.id); }) == Errc::busy);
  }
  SECTION("blocks are missing") {
    peer.publish_status = 446;
    peer.refusals = 1;
    const auto [code, text] = failure_of([&] { remote->publish(library, commit.id); });
    CHECK(code == Errc::busy);
    CHECK(text.find("q.txt") != std::string::npos);
  }
  SECTION("the account is full") {
    peer.publish_status = 443;
    peer.refusals = 1;
    CHECK(code_of([&] { remote->publish(library, commit.id); }) == Errc::quota);
  }
}

TEST_CASE("login wants the password, then the code, and says the account's own name") {
  Peer peer;
  LoginRequest request;
  request.server = peer.address;
  request.client = {*ObjectId::parse(std::string(40, 'c')), "host"};
  request.user = "me@example.com";
  const auto wrong = Secret::copy_of(as_bytes("wrong")),
             right = Secret::copy_of(as_bytes("p&=ss w"));
  request.password = &wrong;
  CHECK(code_of([&] { log_in(request); }) == Errc::wrong_password);
  request.password = &right;
  const auto [code, text] = failure_of([&] { log_in(request); });
  CHECK(code == Errc::wrong_password);
  CHECK(text.find("--otp") != std::string::npos);
  request.one_time_code = "123456";
  const auto result = log_in(request);
  CHECK(result.user == "real@example.com");
  CHECK(as_text(result.token.bytes()) == api_token);

  LoginRequest again = {peer.address, request.client, "me", nullptr, &result.token, ""};
  CHECK(log_in(again).user == "real@example.com");
  again.token = &wrong;
  CHECK(code_of([&] { log_in(again); }) == Errc::denied);
  again.token = nullptr;
  CHECK(code_of([&] { log_in(again); }) == Errc::invalid);
  again.token = &wrong;
  again.server.url = "http://127.0.0.1:1";
  CHECK(code_of([&] { log_in(again); }) == Errc::unreachable);
}
