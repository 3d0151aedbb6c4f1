// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>
#include <string>

#include "base/error.hpp"
#include "crypto/hash.hpp"
#include "golden_storage.hpp"
#include "remote/conflict_name.hpp"
#include "remote/objects.hpp"

using namespace nacre;
using Catch::Matchers::Contains;
using test::stored;
using namespace std::string_literals;

namespace {

ObjectId id_of(std::string_view hex) { return ObjectId::parse(hex).value(); }

const ObjectId some_id = id_of("b120c22963f8359d83496c2fc9fb8fa61ba455dc");

Dirent file(std::string name, std::int64_t mtime = 1700000000) {
  return {std::move(name), some_id, mode_file, mtime, 16, "user@example.com"};
}

Directory read(std::string_view json) { return read_directory(some_id, as_bytes(json)); }

// A directory of one entry, given by its members.
std::string one(const std::string& members) {
  return R"({"dirents": [{)" + members + R"(}], "type": 3, "version": 1})";
}

std::string refusal(const std::string& json) {
  try {
    read(json);
  } catch (const Error& e) {
    CHECK(e.code() == Errc::corrupt);
    return e.what();
  }
  return "accepted";
}

const std::string id_member = R"("id": "b120c22963f8359d83496c2fc9fb8fa61ba455dc")";

}  // namespace

TEST_CASE("files and directories have the ids of the specification's vectors") {
  File hello{16, {id_of("2584b5c55a767752ca33bd0f79bdd6be4b1fd8ab")}};
  CHECK(sha1(write_file(hello)) == some_id);
  const auto repeated = [](char c) { return id_of(std::string(40, c)); };
  File three{16777217, {repeated('1'), repeated('2'), repeated('3')}};
  CHECK(sha1(write_file(three)).hex() == "37e1cc5c74643495310a6ea2c4a17e1761aad15a");

  Directory plain;
  plain.entries = {{"a.sh", {}, mode_executable, 1700000002, 0, "user@example.com"},
                   file("hello.txt"),
                   {"sub", {}, mode_directory, 1700000001, 0, ""}};
  plain.sort();
  CHECK(plain.entries.front().name == "sub");
  CHECK(sha1(write_directory(plain)).hex() == "cbc6fa79a977775b7ab2ff3ebfaa120c20110ef2");

  Directory odd;
  odd.entries = {file("\x01\b\t\n\x0b\f\r\x1f\x7f"), file("日本 😀.txt")};
  // A '/' is in the vector's second name, which no library of ours may hold.
  odd.sort();
  const auto text = write_directory(odd);
  CHECK_THAT(std::string(as_text(text)), Contains("\"\\u0001\\b\\t\\n\\u000B\\f\\r\\u001F\x7f\""));
  CHECK(read_directory(some_id, text).entries == odd.entries);
}

TEST_CASE("every fs object of a real server comes back to the bytes of its id") {
  int files = 0, directories = 0;
  for (const auto& object : stored("fs")) {
    const auto json = inflate(test::read_bytes(object.path));
    REQUIRE(sha1(json) == object.id);
    if (as_text(json).find("\"dirents\"") != std::string_view::npos) {
      REQUIRE(sha1(write_directory(read_directory(object.id, json))) == object.id);
      ++directories;
    } else {
      REQUIRE(sha1(write_file(read_file(object.id, json))) == object.id);
      ++files;
    }
  }
  CHECK(files > 600);
  CHECK(directories > 50);
}

TEST_CASE("every commit of a real server comes back whole, and its id is recomputed") {
  int count = 0;
  for (const auto& object : stored("commits")) {
    const auto json = test::read_bytes(object.path);
    const auto commit = read_commit(object.id, json);
    REQUIRE(commit.library == object.library);
    REQUIRE(commit_id(commit) == object.id);
    REQUIRE(as_text(write_commit(commit)) == as_text(json));
    ++count;
  }
  CHECK(count > 50);
}

TEST_CASE("commit ids follow the rule of the C code") {
  Commit commit;
  commit.root = id_of("9f3ad3e7a2c1b4d5e6f708192a3b4c5d6e7f8091");
  commit.creator = id_of("0123456789abcdef0123456789abcdef01234567");
  commit.creator_name = "user@example.com";
  commit.description = "Added \"hello.txt\".\n";
  commit.ctime = 1700000003;
  CHECK(commit_id(commit).hex() == "27b5657e80305f0d7d7257d8e23cec9542b8aa7d");
  Commit first;
  first.creator_name = "user@example.com";
  first.description = "Created library";
  first.ctime = 1700000004;
  CHECK(commit_id(first).hex() == "bad81f980c17b09f8db8d1f01ad0886f0dbf2683");
  first.creator_name.reset();
  CHECK(commit_id(first).hex() == "623496edd5b984ba30356f31941ef97a709a1e7e");
}

TEST_CASE("a next commit carries the library's properties and never repeats an id") {
  Commit head;
  head.id = some_id;
  head.library_name = "name";
  head.library_description = "words";
  head.encryption.version = 2;
  head.encryption.magic = "m";
  head.ctime = 1000;
  const auto next = next_commit(head, some_id, "me", {}, "d", 1000);
  CHECK(next.parent == some_id);
  CHECK(next.library_name == "name");
  CHECK(next.library_description == "words");
  CHECK(next.encryption == head.encryption);
  CHECK(next.ctime == 1001);
  CHECK(next.id == commit_id(next));
  CHECK(next_commit(next, some_id, "me", {}, "d", 1000).id != next.id);
  head.ctime = std::numeric_limits<std::int64_t>::max();
  CHECK(next_commit(head, some_id, "me", {}, "d", 1000).ctime == 1000);
}

TEST_CASE("names that could hurt are refused by object and name") {
  CHECK(name_fault("Makefile") == nullptr);
  CHECK(name_fault("...") == nullptr);
  CHECK(name_fault(std::string(255, 'x')) == nullptr);
  CHECK(name_fault("ünï 😀") == nullptr);
  for (const auto& bad :
       {""s, "."s, ".."s, "a/b"s, "a\0b"s, std::string(256, 'x'), "\xff"s, "\xc0\xaf"s,
        "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s, "\xc3"s, "\x80"s, "\xe0\x80\x80"s}) {
    CHECK(name_fault(bad) != nullptr);
  }
  const auto text = refusal(one(id_member + R"(, "mode": 33188, "name": "..")"));
  CHECK_THAT(text, Contains(some_id.hex()) && Contains("\"..\""));
  CHECK_THAT(refusal(one(id_member + R"(, "mode": 33188, "name": "a\u0000b")")),
             Contains("NUL") && !Contains("\0"s));
  CHECK_THAT(refusal(one(id_member + ", \"mode\": 33188, \"name\": \"\xff\"")), Contains("UTF-8"));
  CHECK_THAT(refusal(one(id_member + R"(, "mode": 33188)")), Contains("without a name"));
}

TEST_CASE("sizes, modes, ids and shapes that cannot be are refused") {
  const auto entry = [](const std::string& members) {
    return refusal(one(id_member + R"(, "name": "n", )" + members));
  };
  CHECK(entry(R"("mode": 33188, "size": 9007199254740992)") == "accepted");
  CHECK(entry(R"("mode": 33188)") == "accepted");
  CHECK_THAT(entry(R"("mode": 33188, "size": -1)"), Contains("size"));
  CHECK_THAT(entry(R"("mode": 33188, "size": 9007199254740993)"), Contains("size"));
  CHECK_THAT(entry(R"("mode": 33188, "size": "16")"), Contains("size"));
  CHECK_THAT(entry(R"("mode": 33188, "mtime": 1e300)"), Contains("mtime"));
  CHECK_THAT(entry(R"("mode": 40960)"), Contains("neither"));  // a symlink
  CHECK_THAT(entry(R"("mtime": 1)"), Contains("neither"));
  CHECK_THAT(refusal(one(R"("id": "B1", "mode": 33188, "name": "n")")), Contains("id"));
  CHECK_THAT(
      refusal(one("\"id\": \"" + ObjectId{}.hex() + R"(", "mode": 33188, "name": "n", "size": 1)")),
      Contains("no contents"));
  CHECK_THAT(refusal(R"({"dirents": [], "type": 1, "version": 1})"), Contains("directory"));
  CHECK_THAT(refusal(R"({"dirents": [], "type": 3, "version": 0})"), Contains("version"));
  CHECK_THAT(refusal(R"({"dirents": null, "type": 3, "version": 1})"), Contains("list"));
  CHECK_THAT(refusal(R"([])"), Contains("directory"));
  CHECK_THAT(refusal(std::string(100, '[') + std::string(100, ']')), Contains("deep"));
  CHECK_THAT(refusal(""), Contains(some_id.hex()));
}

TEST_CASE("an entry's members may come in any order, with others, and the first of a name counts") {
  const auto entry =
      read(one(R"("size": 7, "name": "n", "x": 1, "mtime": 5, "mode": 33188, "size": 8, )"
               R"("modifier": "m", "name": "other", )" +
               id_member))
          .entries.at(0);
  CHECK(entry == Dirent{"n", some_id, 0100644, 5, 7, "m"});
}

TEST_CASE("a file's size has to fit its blocks") {
  const auto accepted = [](const std::string& size, const std::string& blocks) {
    const auto json =
        R"({"block_ids": [)" + blocks + R"(], "size": )" + size + R"(, "type": 1, "version": 1})";
    try {
      read_file(some_id, as_bytes(json));
      return true;
    } catch (const Error& e) {
      CHECK(e.code() == Errc::corrupt);
      return false;
    }
  };
  const auto block = "\"" + some_id.hex() + "\"";
  CHECK(accepted("1", block));
  CHECK(accepted("268435456", block));
  CHECK_FALSE(accepted("268435457", block));
  CHECK(accepted("268435457", block + ", " + block));
  CHECK_FALSE(accepted("1", block + ", " + block));
  CHECK_FALSE(accepted("0", block));
  CHECK_FALSE(accepted("5", ""));
  CHECK_FALSE(accepted("-1", block));
  CHECK_FALSE(accepted("5", "\"" + ObjectId{}.hex() + "\""));
  CHECK_FALSE(accepted("5", "7"));
}

TEST_CASE("twins are refused, case twins are two names, and any order is put right") {
  const auto entry = [](const std::string& name) {
    return "{" + id_member + R"(, "mode": 33188, "name": ")" + name + "\"}";
  };
  const auto directory = [&](const std::string& a, const std::string& b, const std::string& c) {
    return R"({"dirents": [)" + entry(a) + "," + entry(b) + "," + entry(c) +
           R"(], "type": 3, "version": 1})";
  };
  CHECK_THAT(refusal(directory("same", "x", "same")), Contains("twice") && Contains("same"));
  const auto sorted = read(directory("README", "z", "readme"));
  REQUIRE(sorted.entries.size() == 3);
  CHECK(sorted.entries[0].name == "z");
  CHECK(sorted.entries[1].name == "readme");
  CHECK(sorted.entries[2].name == "README");
  CHECK(sorted.find("README") == &sorted.entries[2]);
  CHECK(sorted.find("Readme") == nullptr);
}

TEST_CASE("a directory that others could not read is never written") {
  Directory wrong;
  wrong.entries = {file("a"), file("b")};
  CHECK_THROWS_AS(write_directory(wrong), Error);
  wrong.entries = {file("a"), file("a")};
  CHECK_THROWS_AS(write_directory(wrong), Error);
  wrong.entries = {file("..")};
  CHECK_THROWS_AS(write_directory(wrong), Error);
}

TEST_CASE("a commit that is not clear about encryption is not taken for a plain one") {
  const auto all = stored("commits");
  const auto found = std::find_if(all.begin(), all.end(), [](const auto& object) {
    return read_commit(object.id, test::read_bytes(object.path)).encryption.version == 2;
  });
  REQUIRE(found != all.end());
  const auto good = std::string(as_text(test::read_bytes(found->path)));
  const auto with = [&](const std::string& from, const std::string& to) {
    auto text = good;
    const auto at = text.find(from);
    REQUIRE(at != std::string::npos);
    return read_commit(found->id, as_bytes(text.replace(at, from.size(), to)));
  };
  CHECK(with("\"true\"", "\"true\"").encryption.encrypted());
  CHECK_FALSE(with("\"true\"", "\"false\"").encryption.encrypted());
  CHECK_THROWS_AS(with("\"true\"", "true"), Error);
  CHECK_THROWS_AS(with("\"true\"", "1"), Error);
  CHECK_THROWS_AS(with("\"enc_version\": 2", "\"enc_version\": 5"), Error);
  CHECK_THROWS_AS(with("\"key\"", "\"keys\""), Error);
  CHECK_THROWS_AS(with("\"repo_id\": \"", "\"repo_id\": \"x"), Error);
  CHECK_THROWS_AS(with("\"commit_id\": \"" + found->id.hex(), "\"commit_id\": \"" + some_id.hex()),
                  Error);
  CHECK_THROWS_AS(with("\"version\": 1", "\"version\": -1"), Error);
}

TEST_CASE("inflate takes one whole stream, within its limit, and nothing else") {
  const Bytes text(100000, 'x');
  const auto stream = deflate(text);
  CHECK(inflate(stream) == text);
  CHECK(inflate(stream, text.size()) == text);
  CHECK_THROWS_AS(inflate(stream, text.size() - 1), Error);
  auto longer = stream;
  longer.push_back(0);
  CHECK_THROWS_AS(inflate(longer), Error);
  CHECK_THROWS_AS(inflate(ByteView(stream).first(stream.size() - 1)), Error);
  CHECK_THROWS_AS(inflate({}), Error);
  auto damaged = stream;
  damaged[damaged.size() - 1] ^= 1U;
  CHECK_THROWS_AS(inflate(damaged), Error);
  CHECK(inflate(deflate({})).empty());
}

TEST_CASE("conflict names keep the extension, replace an older mark, and fit") {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  CHECK(conflict_name("report.docx", "me@example.com", 0) ==
        "report (SFConflict me@example.com 1970-01-01-00-00-00).docx");
  CHECK(conflict_name("a.tar.gz", "me", 0) == "a.tar (SFConflict me 1970-01-01-00-00-00).gz");
  CHECK(conflict_name("README", "", 0) == "README (SFConflict 1970-01-01-00-00-00)");
  CHECK(conflict_name(".bashrc", "me", 0) == ".bashrc (SFConflict me 1970-01-01-00-00-00)");
  for (const auto* name : {"report.docx", "README", ".bashrc"}) {
    const auto once = conflict_name(name, "a@b.c", 5);
    CHECK(conflict_name(once, "a@b.c", 5) == once);
    CHECK(conflict_name(once, "a@b.c", 6) != once);
  }
  const std::string umlauts = [] {
    std::string text;
    while (text.size() < 250) text += "ü";
    return text + ".txt";
  }();
  const auto cut = conflict_name(umlauts, "me", 0);
  CHECK(cut.size() <= max_name);
  CHECK(cut.size() > max_name - 2);
  CHECK(name_fault(cut) == nullptr);
  CHECK_THAT(cut, Catch::Matchers::EndsWith(").txt"));
  for (const auto& name : {std::string(255, '.'), "x." + std::string(253, 'y')}) {
    const auto result = conflict_name(name, std::string(500, 'w') + "/)(", INT64_MAX);
    CHECK(name_fault(result) == nullptr);
  }
}

TEST_CASE("a name that is in conflict again has one mark, and a free one is always found") {
  const std::string twice =
      "a (SFConflict x 2020-01-01-00-00-00) (SFConflict y 2021-01-01-00-00-00).txt";
  CHECK(without_conflict_mark(twice) == "a.txt");
  CHECK(without_conflict_mark("plain (SFConflict") == "plain (SFConflict");
  CHECK(conflict_name(twice, "z", 5) == conflict_name("a.txt", "z", 5));
  for (const auto mtime : {std::int64_t{5}, INT64_MAX, INT64_MIN}) {
    int tried = 0;
    const auto name =
        free_conflict_name("a.txt", "z", mtime, [&](const std::string&) { return ++tried < 100; });
    CHECK(tried == 100);
    CHECK(without_conflict_mark(name) == "a.txt");
    CHECK(name != conflict_name("a.txt", "z", mtime));
  }
}
