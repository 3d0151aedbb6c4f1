// SPDX-License-Identifier: Apache-2.0
#include "remote/wire.hpp"

#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "base/error.hpp"
#include "base/json.hpp"
#include "remote/json.hpp"

namespace nacre {
namespace {

constexpr std::size_t max_token = 256;

[[noreturn]] void corrupt(const std::string& what, const std::string& why) {
  throw Error(Errc::corrupt, what + ": " + why + "; the server's answer cannot be used");
}

ObjectId object_id(std::optional<std::string_view> text, const std::string& what) {
  const auto id = text ? ObjectId::parse(*text) : std::nullopt;
  if (!id) corrupt(what, "not 40 lower-case hex digits");
  return *id;
}

LibraryId library_id(std::optional<std::string_view> text, const std::string& what) {
  const auto id = text ? LibraryId::parse(*text) : std::nullopt;
  if (!id) corrupt(what, "not a library's id");
  return *id;
}

Secret token(std::optional<std::string_view> text) {
  const auto fits = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '_' || c == '.';
  };
  if (!text || text->empty() || text->size() > max_token || !std::ranges::all_of(*text, fits)) {
    corrupt("token", "missing, or with characters that no token has");
  }
  return Secret::copy_of(as_bytes(*text));
}

// The server's booleans: true, 1, and false, 0, "", or nothing.
bool truth(const std::optional<Json>& value) {
  if (!value) return false;
  if (const auto yes = value->as_bool()) return *yes;
  if (const auto number = value->as_int64()) return *number != 0;
  const auto text = value->as_string();
  return text && *text == "true";
}

bool writable(std::optional<std::string_view> permission) {
  return permission && (*permission == "rw" || *permission == "admin");
}

std::string text_at(const Json& object, std::string_view key) {
  return std::string(object.string_at(key).value_or(""));
}

std::uint64_t size_at(const Json& object, std::string_view key) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, object.int64_at(key).value_or(0)));
}

std::optional<ObjectId> head_at(const Json& object) {
  const auto text = object.string_at("head_commit_id");
  return text ? ObjectId::parse(*text) : std::nullopt;
}

Json root_array(const JsonDocument& document, const char* what) {
  if (!document.root().is_array()) corrupt(what, "not a list");
  return document.root();
}

Json root_object(const JsonDocument& document, const char* what) {
  if (!document.root().is_object()) corrupt(what, "not an object");
  return document.root();
}

template <class Id>
std::string write_list(std::span<const Id> ids) {
  JsonWriter json;
  json.array();
  for (const auto& id : ids) {
    if constexpr (std::is_same_v<Id, ObjectId>) {
      json.value(id.hex());
    } else {
      json.value(id.text());
    }
  }
  return std::move(json.end()).take();
}

}  // namespace

std::vector<PackedObject> read_pack(ByteView pack) {
  std::vector<PackedObject> objects;
  while (!pack.empty()) {
    if (pack.size() < packed_header) corrupt("packed objects", "cut in a header");
    const auto id = object_id(as_text(pack.first(40)), "packed objects");
    std::size_t size = 0;
    for (std::size_t i = 40; i < packed_header; ++i) size = size << 8U | pack[i];
    pack = pack.subspan(packed_header);
    if (size == 0 || size > pack.size()) {
      corrupt("packed object " + id.hex(), "its length is " + std::to_string(size) + " of " +
                                               std::to_string(pack.size()) + " bytes");
    }
    objects.push_back({id, pack.first(size)});
    pack = pack.subspan(size);
  }
  return objects;
}

void append_packed(Bytes& pack, const ObjectId& id, ByteView stored) {
  const auto at = pack.size();
  pack.resize(at + packed_header);
  write_hex(id.bytes, reinterpret_cast<char*>(pack.data() + at));
  for (std::size_t i = 0; i < 4; ++i) {
    pack[at + 40 + i] = static_cast<std::uint8_t>(stored.size() >> (24U - 8U * i));
  }
  pack.insert(pack.end(), stored.begin(), stored.end());
}

std::string write_ids(std::span<const ObjectId> ids) { return write_list(ids); }
std::string write_ids(std::span<const LibraryId> ids) { return write_list(ids); }

std::vector<ObjectId> read_ids(ByteView json) {
  const JsonDocument document(json, "list of ids");
  std::vector<ObjectId> ids;
  for (const auto& item : root_array(document, "list of ids").items()) {
    ids.push_back(object_id(item.as_string(), "list of ids"));
  }
  return ids;
}

ObjectId read_head(ByteView json) {
  const JsonDocument document(json, "head of a library");
  const auto root = root_object(document, "head of a library");
  if (truth(root.member("is_corrupted"))) {
    throw Error(Errc::corrupt,
                "head of a library: the server calls the library damaged; tell its administrator");
  }
  return object_id(root.string_at("head_commit_id"), "head of a library");
}

std::vector<LibraryHead> read_heads(ByteView json) {
  const JsonDocument document(json, "heads of libraries");
  std::vector<LibraryHead> heads;
  for (const auto& member : root_object(document, "heads of libraries").members()) {
    heads.push_back({library_id(member.key, "heads of libraries"),
                     object_id(member.value.as_string(), "heads of libraries")});
  }
  return heads;
}

std::vector<std::uint64_t> read_block_map(ByteView json) {
  const JsonDocument document(json, "block map");
  std::vector<std::uint64_t> sizes;
  for (const auto& item : root_array(document, "block map").items()) {
    const auto size = item.as_uint64();
    if (!size || *size == 0 || *size > max_block) corrupt("block map", "not a block's size");
    sizes.push_back(*size);
  }
  return sizes;
}

std::vector<std::string> read_names(ByteView json) {
  const JsonDocument document(json, "list of names");
  std::vector<std::string> names;
  for (const auto& item : root_array(document, "list of names").items()) {
    const auto name = item.as_string();
    if (!name) corrupt("list of names", "not a name");
    if (names.size() < 10) names.emplace_back(name->substr(0, max_name));
  }
  return names;
}

Secret read_token(ByteView json) {
  const JsonDocument document(json, "login");
  return token(root_object(document, "login").string_at("token"));
}

std::vector<std::pair<LibraryId, Secret>> read_tokens(ByteView json) {
  const JsonDocument document(json, "library tokens");
  std::vector<std::pair<LibraryId, Secret>> tokens;
  for (const auto& member : root_object(document, "library tokens").members()) {
    tokens.emplace_back(library_id(member.key, "library tokens"), token(member.value.as_string()));
  }
  return tokens;
}

AccountInfo read_account(ByteView json) {
  const JsonDocument document(json, "account");
  const auto root = root_object(document, "account");
  AccountInfo info;
  info.email = text_at(root, "email");
  if (info.email.empty() || info.email.size() > max_name) corrupt("account", "it has no name");
  info.quota.used = size_at(root, "usage");
  // Negative: no limit.  Nothing: not known, which is no limit that we could name.
  if (const auto total = root.int64_at("total"); total && *total >= 0) {
    info.quota.total = static_cast<std::uint64_t>(*total);
  }
  return info;
}

std::vector<LibraryInfo> read_libraries(ByteView json) {
  const JsonDocument document(json, "list of libraries");
  struct Place {
    std::size_t at;
    bool own;
  };
  std::vector<LibraryInfo> libraries;
  std::unordered_map<LibraryId, Place> places;
  for (const auto& item : root_array(document, "list of libraries").items()) {
    const auto id = item.string_at("id");
    const auto parsed = id ? LibraryId::parse(*id) : std::nullopt;
    const auto name = item.string_at("name");
    if (!parsed || !name || name->empty() || item.int64_at("version") == 0) continue;
    LibraryInfo info;
    info.id = *parsed;
    info.name = *name;
    info.owner = text_at(item, "owner");
    info.encrypted = truth(item.member("encrypted"));
    info.writable = writable(item.string_at("permission"));
    info.size = size_at(item, "size");
    info.mtime = item.int64_at("mtime").value_or(0);
    info.head = head_at(item);
    const bool own = item.string_at("type") == "repo";
    const auto [known, fresh] = places.try_emplace(info.id, Place{libraries.size(), own});
    if (fresh) {
      libraries.push_back(std::move(info));
    } else if (auto& kept = libraries[known->second.at];
               !known->second.own && (own || (info.writable && !kept.writable))) {
      kept = std::move(info);
      known->second.own = own;
    }
  }
  return libraries;
}

DownloadInfo read_download_info(ByteView json) {
  const JsonDocument document(json, "library");
  const auto root = root_object(document, "library");
  DownloadInfo info{{}, token(root.string_at("token"))};
  info.library.id = library_id(root.string_at("repo_id"), "library");
  info.library.name = text_at(root, "repo_name");
  info.library.owner = text_at(root, "email");
  info.library.encrypted = truth(root.member("encrypted"));
  info.library.writable = writable(root.string_at("permission").value_or("rw"));
  info.library.size = size_at(root, "repo_size");
  info.library.mtime = root.int64_at("mtime").value_or(0);
  info.library.head = head_at(root);
  return info;
}

std::string error_words(ByteView json) {
  std::string words;
  try {
    const JsonDocument document(json, "error");
    const auto root = document.root();
    for (const auto* key : {"detail", "error_msg", "non_field_errors"}) {
      const auto value = root.member(key);
      if (!value) continue;
      if (const auto text = value->as_string()) words = *text;
      for (const auto& item : value->items()) {
        if (const auto text = item.as_string())
          words += (words.empty() ? "" : " ") + std::string(*text);
      }
      break;
    }
  } catch (const Error&) {
    return {};  // a proxy's page, or nothing: there are no words in it
  }
  constexpr std::size_t longest = 200;
  if (words.size() > longest) {
    auto end = longest;
    while (end > 0 && (static_cast<unsigned char>(words[end]) & 0xC0U) == 0x80) --end;
    words.resize(end);
  }
  std::ranges::replace_if(
      words, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return words;
}

std::string percent_encode(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
        c == '.' || c == '_' || c == '~') {
      out += c;
    } else {
      out += '%';
      out += digits[byte >> 4U];
      out += digits[byte & 15U];
    }
  }
  return out;
}

std::string write_form(std::span<const std::pair<std::string_view, std::string_view>> fields) {
  std::string form;
  for (const auto& [name, value] : fields) {
    if (!form.empty()) form += '&';
    form += percent_encode(name) + '=' + percent_encode(value);
  }
  return form;
}

std::string library_form(const NewLibrary& library) {
  const auto& how = library.encryption;
  const auto version = std::to_string(how.version);
  std::vector<std::pair<std::string_view, std::string_view>> fields = {{"name", library.name},
                                                                       {"desc", ""}};
  if (how.encrypted()) {
    fields.insert(fields.end(), {{"repo_id", library.id.text()},
                                 {"enc_version", version},
                                 {"magic", how.magic},
                                 {"random_key", how.random_key}});
    if (!how.salt.empty()) fields.emplace_back("salt", how.salt);
    if (!how.pwd_hash.empty()) {
      fields.insert(fields.end(), {{"pwd_hash", how.pwd_hash},
                                   {"pwd_hash_algo", how.pwd_hash_algo},
                                   {"pwd_hash_params", how.pwd_hash_params}});
    }
  }
  return write_form(fields);
}

Secret secret_form(std::string_view start, std::string_view name, const Secret& value) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  const auto bytes = value.bytes();
  Secret form(start.size() + name.size() + 2 + 3 * bytes.size());
  auto out = form.bytes().begin();
  out = std::ranges::copy(as_bytes(start), out).out;
  *out++ = '&';
  out = std::ranges::copy(as_bytes(name), out).out;
  *out++ = '=';
  // Every byte as %XX: one length for all passwords of a length.
  for (const auto byte : bytes) {
    *out++ = '%';
    *out++ = static_cast<std::uint8_t>(digits[byte >> 4U]);
    *out++ = static_cast<std::uint8_t>(digits[byte & 15U]);
  }
  return form;
}

}  // namespace nacre
