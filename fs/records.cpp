// SPDX-License-Identifier: Apache-2.0
#include "fs/records.hpp"

#include "base/error.hpp"
#include "fs/record_bytes.hpp"

namespace nacre {
namespace {

Bytes key(const LibraryId& library, char kind) {
  const auto text = library.text();
  Bytes bytes(text.begin(), text.end());
  bytes.push_back(static_cast<std::uint8_t>(kind));
  return bytes;
}

void append_number(Bytes& bytes, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8)
    bytes.push_back(static_cast<std::uint8_t>(number >> static_cast<unsigned>(shift)));
}

constexpr std::size_t numbers_at = 37;  // after the library's id and the letter

std::uint64_t number_at(ByteView bytes, std::size_t offset) {
  if (bytes.size() < offset + 8) throw Error(Errc::corrupt, "state: a key is too short");
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8U | bytes[offset + i];
  return number;
}

}  // namespace

namespace record_key {

Bytes base(const LibraryId& library) { return key(library, 'b'); }
Bytes entries(const LibraryId& library) { return key(library, 'e'); }
Bytes files(const LibraryId& library) { return key(library, 'f'); }
Bytes extents(const LibraryId& library) { return key(library, 'x'); }
Bytes intent(const LibraryId& library) { return key(library, 'i'); }
Bytes pins(const LibraryId& library) { return key(library, 'p'); }

Bytes pin(const LibraryId& library, const std::array<std::uint8_t, 16>& tag) {
  auto bytes = pins(library);
  bytes.insert(bytes.end(), tag.begin(), tag.end());
  return bytes;
}

Bytes extents_of(const LibraryId& library, NodeNumber node) {
  auto bytes = extents(library);
  append_number(bytes, node);
  return bytes;
}

Bytes entry(const LibraryId& library, NodeNumber folder, const std::array<std::uint8_t, 16>& tag) {
  auto bytes = entries(library);
  append_number(bytes, folder);
  bytes.insert(bytes.end(), tag.begin(), tag.end());
  return bytes;
}

Bytes file(const LibraryId& library, NodeNumber node) {
  auto bytes = files(library);
  append_number(bytes, node);
  return bytes;
}

Bytes extent(const LibraryId& library, NodeNumber node, std::uint64_t index) {
  auto bytes = extents_of(library, node);
  append_number(bytes, index);
  return bytes;
}

NodeNumber number_in(ByteView key) { return number_at(key, numbers_at); }
std::uint64_t index_in(ByteView key) { return number_at(key, numbers_at + 8); }

}  // namespace record_key

Bytes encode_base(const Commit& commit) {
  return RecordWriter().raw(commit.id.bytes).blob(write_commit(commit)).take();
}

Commit decode_base(ByteView bytes) {
  RecordReader in(bytes);
  const auto id = in.id();
  auto commit = read_commit(id, in.blob());
  in.finish();
  return commit;
}

Bytes encode(const EntryRecord& record) {
  const auto& dirent = record.dirent;
  return RecordWriter()
      .text(record.name)
      .number(static_cast<std::uint8_t>(record.removed))
      .number(record.node)
      .number(record.generation)
      .raw(dirent.id.bytes)
      .number(dirent.mode)
      .number(static_cast<std::uint64_t>(dirent.mtime))
      .number(dirent.size)
      .text(dirent.modifier)
      .take();
}

EntryRecord decode_entry(ByteView bytes) {
  RecordReader in(bytes);
  EntryRecord record;
  record.name = in.text();
  record.removed = in.number<std::uint8_t>() != 0;
  record.node = in.number<std::uint64_t>();
  record.generation = in.number<std::uint64_t>();
  auto& dirent = record.dirent;
  dirent.name = record.name;
  dirent.id = in.id();
  dirent.mode = in.number<std::uint32_t>();
  dirent.mtime = static_cast<std::int64_t>(in.number<std::uint64_t>());
  dirent.size = in.number<std::uint64_t>();
  dirent.modifier = in.text();
  in.finish();
  return record;
}

Bytes encode(const FileRecord& record) {
  return RecordWriter()
      .raw(record.base.bytes)
      .number(record.base_size)
      .number(record.base_limit)
      .number(record.size)
      .number(record.version)
      .number(static_cast<std::uint8_t>(record.partial))
      .take();
}

FileRecord decode_file(ByteView bytes) {
  RecordReader in(bytes);
  FileRecord record;
  record.base = in.id();
  record.base_size = in.number<std::uint64_t>();
  record.base_limit = in.number<std::uint64_t>();
  record.size = in.number<std::uint64_t>();
  record.version = in.number<std::uint64_t>();
  record.partial = in.number<std::uint8_t>() != 0;
  in.finish();
  return record;
}

Bytes encode_extent(const ExtentRanges& valid, ByteView extent) {
  std::size_t size = sizeof(std::uint32_t);
  for (const auto& [begin, end] : valid) size += 2 * sizeof(std::uint32_t) + (end - begin);
  RecordWriter out(size);
  out.number(static_cast<std::uint32_t>(valid.size()));
  for (const auto& [begin, end] : valid) out.number(begin).number(end);
  for (const auto& [begin, end] : valid) out.raw(extent.subspan(begin, end - begin));
  return out.take();
}

ExtentView decode_extent(ByteView bytes) {
  RecordReader in(bytes);
  ExtentView record;
  const auto count = in.number<std::uint32_t>();
  std::uint64_t total = 0;
  std::uint32_t last = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto begin = in.number<std::uint32_t>();
    const auto end = in.number<std::uint32_t>();
    if (begin >= end || begin < last || end > extent_size)
      throw Error(Errc::corrupt, "state: an extent overlaps, or is too long");
    record.valid.emplace_back(begin, end);
    total += end - begin;
    last = end;
  }
  record.data = in.rest();
  if (record.data.size() != total) throw Error(Errc::corrupt, "state: an extent's size is wrong");
  return record;
}

}  // namespace nacre
