// SPDX-License-Identifier: Apache-2.0
//
// The Seafile remote and the server, over a real connection: a library's whole life.
#include "unit/server_kit.hpp"

using namespace nacre;
using test::code_of;
using test::send;
using test::Service;

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
