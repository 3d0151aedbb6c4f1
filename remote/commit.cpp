// SPDX-License-Identifier: Apache-2.0
//
// Commits, and the ids that Seafile's C code gives them (seafile-protocol, 1.2 and 1.3).
#include <algorithm>
#include <limits>
#include <utility>

#include "base/error.hpp"
#include "base/json.hpp"
#include "crypto/hash.hpp"
#include "remote/json.hpp"
#include "remote/objects.hpp"

namespace nacre {

namespace {

constexpr std::size_t max_commit = std::size_t{1} << 20U;

// One commit while it is read: every complaint names it.
class Reader {
 public:
  Reader(const ObjectId& id, const Json& json) : id_(id), json_(json) {}

  [[noreturn]] void refuse(const std::string& why) const {
    throw Error(Errc::corrupt, "commit " + id_.hex() + ": " + why);
  }

  [[nodiscard]] std::string text(const char* key) const {
    return std::string(json_.string_at(key).value_or(""));
  }

  [[nodiscard]] ObjectId id(const char* key) const {
    const auto parsed = ObjectId::parse(json_.string_at(key).value_or(""));
    if (!parsed) refuse(std::string(key) + " is not an id");
    return *parsed;
  }

  [[nodiscard]] std::optional<ObjectId> id_or_null(const char* key) const {
    const auto value = json_.member(key);
    if (!value || value->is_null()) return std::nullopt;
    return id(key);
  }

  // Flags are the number 1, or left out.
  [[nodiscard]] bool flag(const char* key) const {
    const auto value = json_.member(key);
    return value && (value->as_int64().value_or(0) != 0 || value->as_bool().value_or(false));
  }

  [[nodiscard]] int small_number(const char* key) const {
    const auto value = json_.int64_at(key).value_or(0);
    if (value < 0 || value > std::numeric_limits<int>::max()) {
      refuse(std::string(key) + " is out of range");
    }
    return static_cast<int>(value);
  }

  // Lower-case digits, exactly so many.
  [[nodiscard]] std::string digits(const char* key, std::size_t count) const {
    auto value = text(key);
    if (value.size() != count || !from_hex(value)) {
      refuse(std::string(key) + " is not " + std::to_string(count) + " hex digits");
    }
    return value;
  }

  [[nodiscard]] bool has(const char* key) const { return json_.string_at(key).has_value(); }

  // A library that says in a strange way that it is encrypted must not be taken for a plain one.
  [[nodiscard]] bool encrypted() const {
    const auto value = json_.member("encrypted");
    if (!value || value->is_null() || value->as_bool() == false) return false;
    const auto word = value->as_string();
    if (word == "false" || word == "") return false;
    if (word != "true") refuse("encrypted is neither \"true\" nor \"false\"");
    return true;
  }

 private:
  const ObjectId& id_;
  const Json& json_;
};

Encryption read_encryption(const Reader& read) {
  Encryption how;
  if (!read.encrypted()) return how;
  how.version = read.small_number("enc_version");
  if (how.version < 1 || how.version > 4) read.refuse("enc_version is not 1 to 4");
  if (read.has("pwd_hash") && !read.text("pwd_hash").empty()) {
    how.pwd_hash = read.digits("pwd_hash", 64);
    how.pwd_hash_algo = read.text("pwd_hash_algo");
    how.pwd_hash_params = read.text("pwd_hash_params");
  } else {
    how.magic = read.digits("magic", how.version == 1 ? 32 : 64);
  }
  if (how.version >= 2) how.random_key = read.digits("key", 96);
  if (how.version >= 3) how.salt = read.digits("salt", 64);
  return how;
}

void write_encryption(JsonWriter& json, const Encryption& how) {
  if (!how.encrypted()) return;
  json.key("encrypted").value("true").key("enc_version").value(how.version);
  const auto optional = [&](const char* key, const std::string& value) {
    if (!value.empty()) json.key(key).value(value);
  };
  if (how.pwd_hash.empty()) optional("magic", how.magic);
  optional("key", how.random_key);
  optional("salt", how.salt);
  optional("pwd_hash", how.pwd_hash);
  optional("pwd_hash_algo", how.pwd_hash_algo);
  optional("pwd_hash_params", how.pwd_hash_params);
}

}  // namespace

Commit read_commit(const ObjectId& id, ByteView json) {
  if (json.size() > max_commit) {
    throw Error(Errc::corrupt, "commit " + id.hex() + ": is too large");
  }
  const JsonDocument document(json, "commit " + id.hex());
  const auto root = document.root();
  const Reader read(id, root);
  if (!root.is_object()) read.refuse("is not an object");
  if (read.has("commit_id") && read.id("commit_id") != id) {
    read.refuse("calls itself " + read.id("commit_id").hex());
  }

  Commit commit;
  commit.id = id;
  commit.root = read.id("root_id");
  const auto library = LibraryId::parse(read.text("repo_id"));
  if (!library) read.refuse("repo_id is not a library's id");
  commit.library = *library;
  if (read.has("creator_name")) commit.creator_name = read.text("creator_name");
  commit.creator = read.id("creator");
  commit.description = read.text("description");
  const auto ctime = root.int64_at("ctime");
  if (!ctime) read.refuse("ctime is not a number");
  commit.ctime = *ctime;
  commit.parent = read.id_or_null("parent_id");
  commit.second_parent = read.id_or_null("second_parent_id");
  commit.library_name = read.text("repo_name");
  commit.library_description = read.text("repo_desc");
  commit.device_name = read.text("device_name");
  commit.client_version = read.text("client_version");
  commit.encryption = read_encryption(read);
  commit.version = read.small_number("version");
  commit.no_local_history = read.flag("no_local_history");
  commit.new_merge = read.flag("new_merge");
  commit.conflict = read.flag("conflict");
  commit.repaired = read.flag("repaired");
  return commit;
}

Bytes write_commit(const Commit& commit) {
  JsonWriter json;
  const auto parent = [&](const char* key, const std::optional<ObjectId>& id) {
    json.key(key);
    if (id) {
      json.value(id->hex());
    } else {
      json.null();
    }
  };
  const auto flag = [&](const char* key, bool set) {
    if (set) json.key(key).value(1);
  };
  json.object();
  json.key("commit_id").value(commit.id.hex()).key("root_id").value(commit.root.hex());
  json.key("repo_id").value(commit.library.text());
  if (commit.creator_name) json.key("creator_name").value(*commit.creator_name);
  json.key("creator").value(commit.creator.hex());
  json.key("description").value(commit.description).key("ctime").value(commit.ctime);
  parent("parent_id", commit.parent);
  parent("second_parent_id", commit.second_parent);
  json.key("repo_name").value(commit.library_name);
  json.key("repo_desc").value(commit.library_description).key("repo_category").null();
  if (!commit.device_name.empty()) json.key("device_name").value(commit.device_name);
  if (!commit.client_version.empty()) json.key("client_version").value(commit.client_version);
  write_encryption(json, commit.encryption);
  flag("no_local_history", commit.no_local_history);
  if (commit.version != 0) json.key("version").value(commit.version);
  flag("conflict", commit.conflict);
  flag("new_merge", commit.new_merge);
  flag("repaired", commit.repaired);
  json.end();
  const auto text = std::move(json).take();
  return Bytes(text.begin(), text.end());
}

ObjectId commit_id(const Commit& commit) {
  Sha1 hash;
  // Each text with the NUL that ends it.
  const auto add = [&](const std::string& text) {
    hash.update(as_bytes(std::string_view(text.c_str(), text.size() + 1)));
  };
  add(commit.root.hex());
  add(commit.creator.hex());
  if (commit.creator_name) add(*commit.creator_name);
  add(commit.description);
  std::array<std::uint8_t, 8> ctime{};
  for (unsigned i = 0; i < 8; ++i) {
    ctime[i] = static_cast<std::uint8_t>(static_cast<std::uint64_t>(commit.ctime) >> (56U - 8 * i));
  }
  hash.update(ctime);
  return hash.finish();
}

Commit next_commit(const Commit& head, const ObjectId& root, std::string creator_name,
                   const ObjectId& client, std::string description, std::int64_t ctime) {
  // The parent is not part of the id.  A tree that comes back to what it was within one second
  // would get the id of the commit that it had then, so time goes on from commit to commit;
  // but a clock that is far ahead does not become ours.
  constexpr std::int64_t believable_lead = 24 * 60 * 60;
  if (head.ctime >= ctime && head.ctime < ctime + believable_lead) ctime = head.ctime + 1;

  Commit commit;
  commit.root = root;
  commit.library = head.library;
  commit.creator_name = std::move(creator_name);
  commit.creator = client;
  commit.description = std::move(description);
  commit.ctime = ctime;
  commit.parent = head.id;
  commit.library_name = head.library_name;
  commit.library_description = head.library_description;
  commit.encryption = head.encryption;
  commit.version = head.version;
  commit.no_local_history = head.no_local_history;
  commit.id = commit_id(commit);
  return commit;
}

}  // namespace nacre
