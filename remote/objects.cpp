// SPDX-License-Identifier: Apache-2.0
#include "remote/objects.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "base/error.hpp"
#include "base/json.hpp"
#include "remote/json.hpp"

namespace nacre {

namespace {

constexpr std::int64_t type_file = 1, type_directory = 3;

[[noreturn]] void refuse(const ObjectId& id, const std::string& why) {
  throw Error(Errc::corrupt, "object " + id.hex() + ": " + why);
}

// Names a hostile entry without repeating what it would do to a terminal.
[[noreturn]] void refuse_entry(const ObjectId& id, std::string_view name, const char* why) {
  std::string shown;
  append_json_string(shown, name.substr(0, max_name + 1));
  refuse(id, "entry " + shown + ": " + why);
}

// Whether all of `text` is UTF-8: no overlong forms, no surrogates, nothing past U+10FFFF.
bool is_utf8(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i++]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4) return false;
    unsigned code = lead & (0x3fU >> static_cast<unsigned>(more));
    for (int k = 0; k < more; ++k, ++i) {
      if (i == text.size() || (static_cast<unsigned char>(text[i]) & 0xc0U) != 0x80) return false;
      code = code << 6U | (static_cast<unsigned char>(text[i]) & 0x3fU);
    }
    constexpr unsigned smallest[] = {0x80, 0x800, 0x10000};
    if (code < smallest[more - 1] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
      return false;
    }
  }
  return true;
}

bool is_sorted(const std::vector<Dirent>& entries) {
  return std::ranges::is_sorted(entries, std::ranges::greater{}, &Dirent::name);
}

// A number that may be left out, and is 0 then, as Seafile's readers have it.
std::optional<std::int64_t> number(const Json& object, std::string_view key) {
  const auto value = object.member(key);
  return value ? value->as_int64() : 0;
}

void check_kind(const ObjectId& id, const Json& object, std::int64_t type, const char* what) {
  if (object.int64_at("type") != type) refuse(id, std::string("is not a ") + what);
  if (object.int64_at("version").value_or(0) < 1) refuse(id, "is of a version before 1");
}

// A directory's entry as it stands in its object, in the order of canonical JSON.
struct DirentFields {
  enum Field { id, mode, modifier, mtime, name, size, count };
  static constexpr std::array<std::string_view, count> keys = {"id",    "mode", "modifier",
                                                               "mtime", "name", "size"};
  explicit DirentFields(const Json& json) { json.members(keys, values); }

  [[nodiscard]] std::optional<std::string_view> text(Field field) const {
    return values[field] ? values[field]->as_string() : std::nullopt;
  }
  [[nodiscard]] std::optional<std::int64_t> number(Field field) const {
    return values[field] ? values[field]->as_int64() : 0;  // left out: 0, as in Seafile's readers
  }

  std::array<std::optional<Json>, count> values;
};

Dirent read_dirent(const ObjectId& id, const Json& json) {
  using Fields = DirentFields;
  const Fields fields(json);
  const auto name = fields.text(Fields::name);
  if (!name) refuse(id, "has an entry without a name");
  if (const char* fault = name_fault(*name)) refuse_entry(id, *name, fault);
  const auto wrong = [&](const char* why) { refuse_entry(id, *name, why); };

  Dirent entry;
  entry.name = *name;
  const auto target = ObjectId::parse(fields.text(Fields::id).value_or(""));
  if (!target) wrong("has no valid id");
  entry.id = *target;

  const auto mode = fields.number(Fields::mode).value_or(0);
  const auto kind = mode & 0170000;
  if (mode < 0 || mode > 0177777 || (kind != 0100000 && kind != 0040000)) {
    wrong("is neither a file nor a directory");
  }
  entry.mode = static_cast<std::uint32_t>(mode);

  const auto mtime = fields.number(Fields::mtime);
  if (!mtime) wrong("has no valid mtime");
  entry.mtime = *mtime;
  if (entry.is_directory()) return entry;

  const auto size = fields.number(Fields::size);
  if (!size || *size < 0 || static_cast<std::uint64_t>(*size) > max_file) {
    wrong("has an impossible size");
  }
  entry.size = static_cast<std::uint64_t>(*size);
  if (entry.id.is_empty() && entry.size != 0) wrong("has a size, but no contents");
  entry.modifier = fields.text(Fields::modifier).value_or("");
  return entry;
}

}  // namespace

const char* name_fault(std::string_view name) noexcept {
  if (name.empty()) return "is empty";
  if (name == ".") return "is '.'";
  if (name == "..") return "is '..'";
  if (name.size() > max_name) return "is longer than 255 bytes";
  if (name.find('/') != name.npos) return "contains '/'";
  if (name.find('\0') != name.npos) return "contains a NUL";
  if (!is_utf8(name)) return "is not UTF-8";
  return nullptr;
}

void Directory::sort() { std::ranges::sort(entries, std::ranges::greater{}, &Dirent::name); }

const Dirent* Directory::find(std::string_view name) const noexcept {
  const auto at = std::lower_bound(
      entries.begin(), entries.end(), name,
      [](const Dirent& entry, std::string_view wanted) { return entry.name > wanted; });
  return at != entries.end() && at->name == name ? &*at : nullptr;
}

Directory read_directory(const ObjectId& id, ByteView json) {
  if (json.size() > max_object) refuse(id, "is too large");
  const JsonDocument document(json, "object " + id.hex());
  const auto root = document.root();
  check_kind(id, root, type_directory, "directory");
  const auto dirents = root.member("dirents");
  if (!dirents || !dirents->is_array()) refuse(id, "has no list of entries");

  Directory directory;
  const auto items = dirents->items();
  directory.entries.reserve(items.size());
  for (const auto& item : items) directory.entries.push_back(read_dirent(id, item));
  // Other producers may have sorted otherwise; a name that is there twice is another matter.
  if (!is_sorted(directory.entries)) directory.sort();
  const auto twin = std::ranges::adjacent_find(directory.entries, {}, &Dirent::name);
  if (twin != directory.entries.end()) refuse_entry(id, twin->name, "is there twice");
  return directory;
}

File read_file(const ObjectId& id, ByteView json) {
  if (json.size() > max_object) refuse(id, "is too large");
  const JsonDocument document(json, "object " + id.hex());
  const auto root = document.root();
  check_kind(id, root, type_file, "file");
  const auto size = number(root, "size");
  if (!size || *size < 0 || static_cast<std::uint64_t>(*size) > max_file) {
    refuse(id, "has an impossible size");
  }
  const auto blocks = root.member("block_ids");
  if (!blocks || !blocks->is_array()) refuse(id, "has no list of blocks");

  File file;
  file.size = static_cast<std::uint64_t>(*size);
  const auto items = blocks->items();
  file.blocks.reserve(items.size());
  for (const auto& item : items) {
    const auto block = ObjectId::parse(item.as_string().value_or(""));
    if (!block || block->is_empty()) refuse(id, "has an invalid block id");
    file.blocks.push_back(*block);
  }
  // No block is empty, none longer than max_block.
  const std::uint64_t count = file.blocks.size();
  if (count > file.size || (file.size + max_block - 1) / max_block > count) {
    refuse(id, "has " + std::to_string(file.size) + " bytes in " + std::to_string(count) +
                   " blocks, which cannot be");
  }
  return file;
}

Bytes write_directory(const Directory& directory) {
  const auto& entries = directory.entries;
  const auto out_of_order = [](const Dirent& a, const Dirent& b) { return a.name <= b.name; };
  if (std::ranges::adjacent_find(entries, out_of_order) != entries.end()) {
    throw Error(Errc::internal, "directory: entries out of order, or twice the same name");
  }
  JsonWriter json;
  json.object().key("dirents").array();
  for (const auto& entry : entries) {
    if (const char* fault = name_fault(entry.name)) {
      throw Error(Errc::invalid, std::string("a name ") + fault);
    }
    json.object().key("id").value(entry.id.hex()).key("mode").value(entry.mode);
    if (!entry.is_directory()) json.key("modifier").value(entry.modifier);
    json.key("mtime").value(entry.mtime).key("name").value(entry.name);
    if (!entry.is_directory()) json.key("size").value(entry.size);
    json.end();
  }
  json.end().key("type").value(type_directory).key("version").value(1).end();
  const auto text = std::move(json).take();
  return Bytes(text.begin(), text.end());
}

Bytes write_file(const File& file) {
  JsonWriter json;
  json.object().key("block_ids").array();
  for (const auto& block : file.blocks) json.value(block.hex());
  json.end().key("size").value(file.size).key("type").value(type_file);
  json.key("version").value(1).end();
  const auto text = std::move(json).take();
  return Bytes(text.begin(), text.end());
}

}  // namespace nacre
