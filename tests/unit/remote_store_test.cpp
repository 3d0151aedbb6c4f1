// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <catch2/catch.hpp>
#include <thread>

#include "base/error.hpp"
#include "code_of.hpp"
#include "crypto/hash.hpp"
#include "crypto/library_key.hpp"
#include "crypto/random.hpp"
#include "golden_storage.hpp"
#include "remote/directory_remote.hpp"
#include "remote/object_store.hpp"

using namespace nacre;
using test::code_of;
using test::golden_libraries;
using test::TempFolder;
using Access = ObjectStore::Access;

namespace {

Directory read_root(Remote& remote, const LibraryId& library, const ObjectId& root) {
  if (root.is_empty()) return {};
  const auto object = remote.objects(library, std::array{root}).at(0);
  return read_directory(root, object.json);
}

// A file's plaintext by way of the remote alone.
std::string read_text(Remote& remote, const LibraryId& library, const Dirent& entry,
                      const LibraryKey* key) {
  if (entry.id.is_empty()) return "";
  const auto object = remote.objects(library, std::array{entry.id}).at(0);
  const auto file = read_file(entry.id, object.json);
  CHECK(file.size == entry.size);
  const auto sizes = remote.block_sizes(library, entry.id);
  REQUIRE(sizes.size() == file.blocks.size());
  std::string text;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    auto stored = remote.block(library, file.blocks[i]);
    CHECK(stored.size() == sizes[i]);
    if (key != nullptr) stored = key->decrypt(stored);
    text += as_text(stored);
  }
  CHECK(text.size() == file.size);
  return text;
}

Secret secret(const std::string& text) { return Secret::copy_of(as_bytes(text)); }

struct Writer {
  Remote& remote;
  LibraryId library;

  // Adds or replaces files at the top of `base`'s tree, and puts the commit without publishing.
  ObjectId commit(const ObjectId& base,
                  const std::vector<std::pair<std::string, std::string>>& files,
                  const std::string& description) const {
    const auto head = remote.commit(library, base);
    auto directory = read_root(remote, library, head.root);
    for (const auto& [name, text] : files) {
      const auto block = sha1(as_bytes(text));
      remote.put_block(library, block, as_bytes(text));
      const auto json = write_file({text.size(), {block}});
      const auto id = sha1(json);
      remote.put_objects(library, std::array{FsObject{id, json}});
      std::erase_if(directory.entries, [&, &n = name](const Dirent& e) { return e.name == n; });
      directory.entries.push_back({name, id, mode_file, 7, text.size(), "me"});
    }
    directory.sort();
    const auto json = write_directory(directory);
    const auto root = sha1(json);
    remote.put_objects(library, std::array{FsObject{root, json}});
    const auto next = next_commit(head, root, "me", random_id(), description, head.ctime + 1);
    remote.put_commit(next);
    return next.id;
  }
};

}  // namespace

TEST_CASE("a real server's storage lists its libraries with the heads of its database") {
  const auto remote = open_directory_remote(test::golden_storage);
  CHECK_FALSE(remote->writable());
  const auto listed = remote->libraries();
  const auto expected = golden_libraries();
  REQUIRE(expected.size() >= 10);
  for (const auto& library : expected) {
    CAPTURE(library.name);
    const auto at = std::ranges::find(listed, library.id, &LibraryInfo::id);
    REQUIRE(at != listed.end());
    CHECK(at->name == library.name);
    CHECK(at->head == library.head);
    CHECK_FALSE(at->writable);
    CHECK(at->encrypted == !library.password.empty());
    CHECK(remote->commit(library.id, library.head).root == library.root);
  }
}

TEST_CASE("files of every kind of real library decrypt to what was put in") {
  const auto remote = open_directory_remote(test::golden_storage);
  for (const auto& library : golden_libraries()) {
    CAPTURE(library.name);
    const auto head = remote->commit(library.id, library.head);
    const auto root = read_root(*remote, library.id, head.root);
    std::optional<LibraryKey> key;
    if (head.encryption.encrypted()) {
      CHECK_FALSE(unlock(library.id, head.encryption, secret("wrong")));
      key = unlock(library.id, head.encryption, secret(library.password));
      REQUIRE(key);
    }
    const auto text = [&](const char* name) {
      const auto* entry = root.find(name);
      return entry == nullptr ? "" : read_text(*remote, library.id, *entry, key ? &*key : nullptr);
    };
    if (root.find("hello.txt") != nullptr) {
      const bool by_client = library.name == "enc-v4-clientmade";
      CHECK(text("hello.txt") == "hello from " + (by_client ? "clientmade" : library.name) + "\n");
    }
    if (root.find("exact16.bin") != nullptr) CHECK(text("exact16.bin") == "0123456789abcdef");
    if (library.name == "enc-v2") {
      // Of the 300 KiB that the storage's README gives the rule of.
      CHECK(sha1(as_bytes(text("big.bin"))).hex() == "ebdbb030e9f32b83bfa315e81b3fc054fcc737da");
    }
  }
}

TEST_CASE("a backup takes no change") {
  const auto remote = open_directory_remote(test::golden_storage);
  const auto library = golden_libraries().front();
  CHECK(code_of([&] { remote->check_upload(library.id, 0); }) == Errc::read_only);
  const Bytes text{1, 2, 3};
  CHECK(code_of([&] { remote->put_block(library.id, sha1(text), text); }) == Errc::read_only);
  const auto next = next_commit(remote->commit(library.id, library.head), {}, "me", {}, "", 0);
  CHECK(code_of([&] { remote->put_commit(next); }) == Errc::read_only);
  CHECK_FALSE(std::filesystem::exists(test::golden_storage / "heads"));
}

TEST_CASE("a folder that is neither storage nor empty is refused") {
  const TempFolder folder;
  std::ofstream(folder.path() / "letter.txt") << "dear";
  CHECK(code_of([&] { open_directory_remote(folder.path()); }) == Errc::invalid);
  CHECK(code_of([&] { open_directory_remote(folder.path() / "letter.txt"); }) ==
        Errc::not_directory);
}

TEST_CASE("a new folder becomes a storage whose libraries are there when it is opened again") {
  const TempFolder folder;
  const auto storage = folder.path() / "deep" / "storage";
  const auto id = random_library_id();
  {
    const auto remote = open_directory_remote(storage);
    CHECK(remote->writable());
    CHECK(remote->libraries().empty());
    const auto info = remote->create_library({id, "photos", {}});
    CHECK(info.name == "photos");
    CHECK(code_of([&] { remote->create_library({id, "again", {}}); }) == Errc::exists);
    CHECK(code_of([&] {
            remote->create_library({random_library_id(), "a/b", {}});
          }) == Errc::invalid);
    const Writer writer{*remote, id};
    const auto next = writer.commit(*info.head, {{"f", "text"}}, "one");
    CHECK(remote->publish(id, next) == next);
  }
  const auto again = open_directory_remote(storage);
  REQUIRE(again->libraries().size() == 1);
  const auto head = again->head(id);
  CHECK(again->libraries()[0].head == head);
  const auto root = read_root(*again, id, again->commit(id, head).root);
  CHECK(read_text(*again, id, *root.find("f"), nullptr) == "text");
  CHECK(again->commit(id, *again->commit(id, head).parent).description == "Created library");
  CHECK(again->quota().total.value() >= again->quota().used);
  CHECK(code_of([&] { again->check_upload(id, std::numeric_limits<std::int64_t>::max()); }) ==
        Errc::quota);
}

TEST_CASE("publishing on an old head merges, like a real server") {
  const TempFolder folder;
  const auto remote = open_directory_remote(folder.path());
  const auto id = random_library_id();
  const auto first = *remote->create_library({id, "shared", {}}).head;
  const Writer writer{*remote, id};
  const auto base = remote->publish(id, writer.commit(first, {{"f", "0"}}, "base"));
  const auto a = writer.commit(base, {{"f", "a"}, {"from a", "x"}}, "a");
  const auto b = writer.commit(base, {{"f", "b"}, {"from b", "y"}}, "b");
  CHECK(remote->publish(id, a) == a);
  const auto merged = remote->publish(id, b);
  CHECK(merged != b);
  const auto commit = remote->commit(id, merged);
  CHECK(commit.parent == a);
  CHECK(commit.second_parent == b);
  CHECK(commit.new_merge);
  CHECK(commit.conflict);
  CHECK(commit.library_name == "shared");
  CHECK(remote->head(id) == merged);
  const auto root = read_root(*remote, id, commit.root);
  CHECK(root.entries.size() == 4);
  CHECK(read_text(*remote, id, *root.find("f"), nullptr) == "a");
  CHECK(remote->publish(id, b) == merged);  // asked again, as the answer was lost
  CHECK(code_of([&] { remote->publish(id, first); }) == Errc::invalid);
}

TEST_CASE("many writers at once lose nothing") {
  const TempFolder folder;
  const auto id = random_library_id();
  const auto first = *open_directory_remote(folder.path())->create_library({id, "busy", {}}).head;
  constexpr int writers = 4, rounds = 5;
  {
    std::vector<std::jthread> threads;
    for (int w = 0; w < writers; ++w) {
      threads.emplace_back([&, w] {
        const auto remote = open_directory_remote(folder.path());
        const Writer writer{*remote, id};
        auto base = first;
        for (int round = 0; round < rounds; ++round) {
          const auto name = std::to_string(w) + "-" + std::to_string(round);
          base = remote->publish(id, writer.commit(base, {{name, name}}, name));
        }
      });
    }
  }
  const auto remote = open_directory_remote(folder.path());
  const auto root = read_root(*remote, id, remote->commit(id, remote->head(id)).root);
  CHECK(root.entries.size() == writers * rounds);
}

TEST_CASE("what does not match its id neither comes in nor goes out") {
  const TempFolder folder;
  ObjectStore store(folder.path(), Access::read_write);
  const auto remote = open_directory_remote(folder.path());
  const auto id = random_library_id();
  remote->create_library({id, "checked", {}});
  const Bytes text{'t', 'e', 'x', 't'};
  const auto other = random_id();
  CHECK(code_of([&] { remote->put_block(id, other, text); }) == Errc::corrupt);
  CHECK(code_of([&] {
          remote->put_objects(id, std::array{FsObject{other, text}});
        }) == Errc::corrupt);
  store.put_block(id, other, text);
  store.put_object(id, other, text);
  CHECK(code_of([&] { remote->block(id, other); }) == Errc::corrupt);
  CHECK(code_of([&] { remote->objects(id, std::array{other}); }) == Errc::corrupt);
  const auto absent = random_id();
  CHECK(code_of([&] { remote->block(id, absent); }) == Errc::not_found);
  CHECK(code_of([&] { remote->objects(id, std::array{absent}); }) == Errc::not_found);
  CHECK(code_of([&] { remote->commit(id, absent); }) == Errc::not_found);
  CHECK(remote->missing_blocks(id, std::array{other, absent}) == std::vector{absent});
  CHECK(remote->missing_objects(id, std::array{ObjectId{}, absent}) == std::vector{absent});
}

TEST_CASE("an object that a power cut left empty is missing, and can be put again") {
  const TempFolder folder;
  ObjectStore store(folder.path(), Access::read_write);
  const auto id = random_library_id();
  store.create(id);
  const Bytes text{'t'};
  const auto block = sha1(text);
  std::filesystem::create_directories(store.block_path(id, block).parent_path());
  std::ofstream(store.block_path(id, block)).flush();
  CHECK_FALSE(store.has_block(id, block));
  CHECK(code_of([&] { (void)store.block(id, block); }) == Errc::not_found);
  store.put_block(id, block, text);
  CHECK(store.block(id, block) == text);
}

TEST_CASE("a head moves only from where it was expected, and a removed library is gone") {
  const TempFolder folder;
  ObjectStore store(folder.path(), Access::read_write);
  const auto id = random_library_id();
  store.create(id);
  const auto a = random_id(), b = random_id();
  CHECK(code_of([&] { (void)store.head(id); }) == Errc::not_found);
  CHECK(store.libraries().empty());
  CHECK(store.move_head(id, {}, a));
  CHECK_FALSE(store.move_head(id, {}, b));
  CHECK_FALSE(store.move_head(id, b, b));
  CHECK(store.move_head(id, a, b));
  CHECK(store.head(id) == b);
  CHECK(store.libraries() == std::vector{id});
  store.remove(id);
  CHECK(store.libraries().empty());
  const auto remote = open_directory_remote(folder.path());
  CHECK(code_of([&] { remote->head(id); }) == Errc::gone);
  CHECK(remote->heads(std::array{id}).empty());
}

TEST_CASE("a damaged commit does not hide the rest of a backup") {
  const TempFolder folder;
  const auto source = golden_libraries().front();
  const auto to = folder.path() / "commits" / source.id.str();
  std::filesystem::create_directories(to.parent_path());
  std::filesystem::copy(test::golden_storage / "commits" / source.id.str(), to,
                        std::filesystem::copy_options::recursive);
  const auto remote = open_directory_remote(folder.path());
  const auto parent = remote->commit(source.id, source.head).parent.value();
  const auto hex = source.head.hex();
  std::ofstream(to / hex.substr(0, 2) / hex.substr(2)) << "{";
  CHECK(open_directory_remote(folder.path())->head(source.id) == parent);
}
