// SPDX-License-Identifier: Apache-2.0
//
// Answers are those of a real server, unless they are meant to be wrong.
#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "code_of.hpp"
#include "crypto/hash.hpp"
#include "remote/wire.hpp"

using namespace nacre;
using test::code_of;

namespace {

const ObjectId file_id = *ObjectId::parse("b120c22963f8359d83496c2fc9fb8fa61ba455dc");
const LibraryId plain = *LibraryId::parse("02c7b845-c2d1-446c-bff7-3b8b34dd47a7");
constexpr std::string_view file_zlib =
    "789cab564acac94fce8ecf4c2956b25288563232b53049324d36354d3437333737354a4e34364e4a314833b74c4a49"
    "314b4a3549324c4bb1484c528ad551502aceac4a05ea323403b24b2a0bc06c20b32cb5a838333f0fc4ab050055b41b"
    "ca";

std::string text_of(const Secret& secret) { return std::string(as_text(secret.bytes())); }

}  // namespace

TEST_CASE("a packed object is the specification's, both ways") {
  const auto stored = *from_hex(file_zlib);
  Bytes pack;
  append_packed(pack, file_id, stored);
  CHECK(to_hex(pack) == to_hex(as_bytes(file_id.hex())) + "0000005f" + std::string(file_zlib));
  append_packed(pack, ObjectId{}, as_bytes("x"));

  const auto objects = read_pack(pack);
  REQUIRE(objects.size() == 2);
  CHECK(objects[0].id == file_id);
  CHECK(sha1(inflate(objects[0].stored)) == file_id);
  CHECK(as_text(objects[1].stored) == "x");
  CHECK(read_pack({}).empty());
}

TEST_CASE("a pack that is cut, empty inside, or lies about a length is refused") {
  Bytes pack;
  append_packed(pack, file_id, as_bytes("payload"));
  for (std::size_t size = 1; size < pack.size(); ++size) {
    CHECK_THROWS_AS(read_pack(ByteView(pack).first(size)), Error);
  }
  auto longer = pack;
  longer[40] = 0xff;
  CHECK_THROWS_AS(read_pack(longer), Error);
  auto upper = pack;
  upper[0] = 'B';
  CHECK_THROWS_AS(read_pack(upper), Error);
  Bytes empty;
  append_packed(empty, file_id, {});
  CHECK_THROWS_AS(read_pack(empty), Error);
}

TEST_CASE("lists of ids are written and read") {
  const std::vector<ObjectId> ids = {file_id, ObjectId{}};
  const auto json = write_ids(ids);
  CHECK(json == "[\"" + file_id.hex() + "\", \"" + std::string(40, '0') + "\"]");
  CHECK(read_ids(as_bytes(json)) == ids);
  CHECK(write_ids(std::vector<LibraryId>{plain}) == "[\"" + plain.str() + "\"]");
  CHECK(read_ids(as_bytes("[\"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\"]")).size() == 1);
  CHECK(read_ids(as_bytes("[]")).empty());
  for (const auto* bad : {"", "{}", "[1]", "[\"b\"]", "[null]", "[\"", "null"}) {
    CHECK(code_of([&] { read_ids(as_bytes(bad)); }) == Errc::corrupt);
  }
}

TEST_CASE("heads are read") {
  CHECK(
      read_head(
          as_bytes(
              R"({"is_corrupted": 0, "head_commit_id": "b2f5778866979e73d856af5ff4749139699b93dd"})"))
          .hex() == "b2f5778866979e73d856af5ff4749139699b93dd");
  CHECK(code_of([] { read_head(as_bytes(R"({"is_corrupted": 1})")); }) == Errc::corrupt);
  CHECK(code_of([] { read_head(as_bytes(R"({"head_commit_id": null})")); }) == Errc::corrupt);

  const auto heads = read_heads(as_bytes(
      R"({"02c7b845-c2d1-446c-bff7-3b8b34dd47a7":"b2f5778866979e73d856af5ff4749139699b93dd"})"));
  REQUIRE(heads.size() == 1);
  CHECK(heads[0].library == plain);
  CHECK(heads[0].head.hex() == "b2f5778866979e73d856af5ff4749139699b93dd");
  CHECK(code_of([] { read_heads(as_bytes(R"({"x":"y"})")); }) == Errc::corrupt);
}

TEST_CASE("block maps and names are read") {
  CHECK(read_block_map(as_bytes("[8388608,8388608,4194304]")) ==
        std::vector<std::uint64_t>{8388608, 8388608, 4194304});
  CHECK(read_block_map(as_bytes("[]")).empty());
  for (const auto* bad : {"[0]", "[-1]", "[1.5]", "[99999999999]", "[\"1\"]", "{}"}) {
    CHECK(code_of([&] { read_block_map(as_bytes(bad)); }) == Errc::corrupt);
  }
  CHECK(read_names(as_bytes(R"(["q.txt"])")) == std::vector<std::string>{"q.txt"});
}

TEST_CASE("tokens are taken only in characters that a header can carry") {
  const auto login = [](const std::string& token) {
    return read_token(as_bytes("{\"token\": \"" + token + "\"}"));
  };
  CHECK(text_of(login(std::string(40, 'a'))) == std::string(40, 'a'));
  for (const std::string bad : {"", "a\\r\\nX: y", "a b", "\\u0000"}) {
    CHECK(code_of([&] { login(bad); }) == Errc::corrupt);
  }
  CHECK(code_of([&] { login(std::string(10'000, 'a')); }) == Errc::corrupt);
  CHECK(code_of([] { read_token(as_bytes("{}")); }) == Errc::corrupt);
  const auto tokens = read_tokens(as_bytes(R"({"02c7b845-c2d1-446c-bff7-3b8b34dd47a7": "abc"})"));
  REQUIRE(tokens.size() == 1);
  CHECK(text_of(tokens[0].second) == "abc");
}

TEST_CASE("an account's quota may have no limit") {
  const auto info = read_account(
      as_bytes(R"({"email": "test@example.com", "usage": 1234, "total": -2, "name": "t"})"));
  CHECK(info.email == "test@example.com");
  CHECK(info.quota.used == 1234);
  CHECK_FALSE(info.quota.total);
  CHECK(read_account(as_bytes(R"({"email": "a", "usage": 1, "total": 7})")).quota.total == 7);
  CHECK(code_of([] { read_account(as_bytes(R"({"usage": 1})")); }) == Errc::corrupt);
}

TEST_CASE("a library is listed once: an own entry wins, else a writable one") {
  const auto entry = [](const std::string& id, const std::string& more) {
    return R"({"id": ")" + id + R"(", "version": 1, )" + more + "}";
  };
  const std::string a = "02c7b845-c2d1-446c-bff7-3b8b34dd47a7",
                    b = "eff19f16-dde5-4cfe-9f16-f60000000000",
                    c = "e5eac510-c6b8-4140-bc21-296150e91918";
  const auto list = read_libraries(as_bytes(
      "[" +
      entry(a, R"("name": "a", "type": "srepo", "permission": "rw", "owner": "x@y", "mtime": 5)") +
      "," +
      entry(
          a,
          R"("name": "a", "type": "repo", "permission": "rw", "owner": "me@y", "encrypted": true, "size": 9, "head_commit_id": "b2f5778866979e73d856af5ff4749139699b93dd")") +
      "," + entry(b, R"("name": "b", "type": "grepo", "permission": "r", "owner": "Group")") + "," +
      entry(b, R"("name": "b", "type": "srepo", "permission": "rw", "owner": "z@y")") + "," +
      entry(b, R"("name": "b", "type": "srepo", "permission": "r", "owner": "q@y")") + "," +
      entry(c, R"("name": null, "type": "repo", "permission": "rw")") + "," + R"({"id": ")" + c +
      R"(", "name": "old", "version": 0, "permission": "rw"},)" +
      R"({"id": "../../etc", "name": "x", "version": 1})" + "]"));
  REQUIRE(list.size() == 2);
  CHECK(list[0].owner == "me@y");
  CHECK(list[0].encrypted);
  CHECK(list[0].size == 9);
  CHECK(list[0].head);
  CHECK(list[1].owner == "z@y");
  CHECK(list[1].writable);
  CHECK_FALSE(list[1].encrypted);
}

TEST_CASE("permissions other than rw and admin are for reading") {
  for (const auto* permission : {"r", "preview", "cloud-edit", "custom-3", ""}) {
    const auto list = read_libraries(as_bytes(
        R"([{"id": "02c7b845-c2d1-446c-bff7-3b8b34dd47a7", "name": "a", "version": 1, "permission": ")" +
        std::string(permission) + "\"}]"));
    REQUIRE(list.size() == 1);
    CHECK_FALSE(list[0].writable);
  }
}

TEST_CASE("download-info says encrypted with 1 or an empty text") {
  const auto read = [](const std::string& encrypted) {
    return read_download_info(as_bytes(
        R"({"repo_id": "02c7b845-c2d1-446c-bff7-3b8b34dd47a7", "repo_name": "plain", "token": "abc", "permission": "rw", "email": "t@e", "encrypted": )" +
        encrypted + "}"));
  };
  CHECK(read("1").library.encrypted);
  CHECK_FALSE(read("\"\"").library.encrypted);
  CHECK(read("1").library.name == "plain");
  CHECK(read("1").library.writable);
  CHECK(text_of(read("1").token) == "abc");
}

TEST_CASE("a server's words for an error are one short line") {
  CHECK(error_words(
            as_bytes(R"({"non_field_errors": ["Unable to login with provided credentials."]})")) ==
        "Unable to login with provided credentials.");
  CHECK(error_words(as_bytes(R"({"detail": "Invalid\n\u001b[31mtoken"})")) == "Invalid  [31mtoken");
  CHECK(error_words(as_bytes("<html>")).empty());
  CHECK(error_words({}).empty());
  CHECK(error_words(as_bytes("{\"error_msg\": \"" + std::string(5000, 'x') + "\"}")).size() == 200);
}

TEST_CASE("forms are percent-encoded, secrets in memory of their kind") {
  CHECK(percent_encode("aZ0-._~ +&=%\xc3\xbc/") == "aZ0-._~%20%2B%26%3D%25%C3%BC%2F");
  const auto form = write_form(std::vector<std::pair<std::string_view, std::string_view>>{
      {"username", "a@b"}, {"platform", "linux"}});
  CHECK(form == "username=a%40b&platform=linux");
  CHECK(text_of(secret_form(form, "password", Secret::copy_of(as_bytes("p&\xff")))) ==
        form + "&password=%70%26%FF");
}

TEST_CASE("a library is created with the client's keys, never with a password") {
  NewLibrary library{plain, "my name", {}};
  CHECK(library_form(library) == "name=my%20name&desc=");
  library.encryption = {4, std::string(64, 'a'), std::string(96, 'b'), std::string(64, 'c'), "", "",
                        ""};
  CHECK(library_form(library) == "name=my%20name&desc=&repo_id=" + plain.str() +
                                     "&enc_version=4&magic=" + std::string(64, 'a') +
                                     "&random_key=" + std::string(96, 'b') +
                                     "&salt=" + std::string(64, 'c'));
}
