// SPDX-License-Identifier: Apache-2.0
#include "fs/intent.hpp"

#include "base/error.hpp"
#include "fs/record_bytes.hpp"

namespace nacre {
namespace {

enum Flags : std::uint8_t { removed = 1, skipped = 2, content = 4, waits = 8, folder = 16 };

std::uint8_t flags_of(const BatchEntry& entry) {
  return static_cast<std::uint8_t>((entry.removed ? removed : 0) | (entry.skipped ? skipped : 0) |
                                   (entry.content ? content : 0) | (entry.waits ? waits : 0) |
                                   (entry.folder ? folder : 0));
}

void write_entry(RecordWriter& out, const BatchEntry& entry) {
  const auto& dirent = entry.dirent;
  out.text(entry.name)
      .number(flags_of(entry))
      .number(entry.generation)
      .number(entry.number)
      .number(entry.version)
      .number(static_cast<std::uint64_t>(entry.folder.value_or(0)))
      .raw(dirent.id.bytes)
      .number(dirent.mode)
      .number(static_cast<std::uint64_t>(dirent.mtime))
      .number(dirent.size)
      .text(dirent.modifier);
}

BatchEntry read_entry(RecordReader& in, std::size_t folders_before) {
  BatchEntry entry;
  entry.name = in.text();
  const auto flags = in.number<std::uint8_t>();
  entry.removed = (flags & removed) != 0;
  entry.skipped = (flags & skipped) != 0;
  entry.content = (flags & content) != 0;
  entry.waits = (flags & waits) != 0;
  entry.generation = in.number<std::uint64_t>();
  entry.number = in.number<std::uint64_t>();
  entry.version = in.number<std::uint64_t>();
  const auto place = in.number<std::uint64_t>();
  if ((flags & folder) != 0) entry.folder = static_cast<std::size_t>(place);
  if (entry.folder && *entry.folder >= folders_before)
    throw Error(Errc::corrupt, "state: a batch's folder comes after its parent");
  auto& dirent = entry.dirent;
  dirent.name = entry.name;
  dirent.id = in.id();
  dirent.mode = in.number<std::uint32_t>();
  dirent.mtime = static_cast<std::int64_t>(in.number<std::uint64_t>());
  dirent.size = in.number<std::uint64_t>();
  dirent.modifier = in.text();
  return entry;
}

}  // namespace

Bytes encode(const Intent& intent) {
  RecordWriter out;
  out.blob(encode_base(intent.commit)).number(intent.batch.generation);
  out.number(static_cast<std::uint32_t>(intent.batch.folders.size()));
  for (const auto& cut : intent.batch.folders) {
    out.number(cut.number).raw(cut.base.bytes).raw(cut.built.bytes);
    out.number(static_cast<std::uint32_t>(cut.entries.size()));
    for (const auto& entry : cut.entries) write_entry(out, entry);
  }
  return out.take();
}

Intent decode_intent(const LibraryId& library, ByteView bytes) {
  RecordReader in(bytes);
  Intent intent;
  intent.commit = decode_base(in.blob());
  intent.batch.library = library;
  intent.batch.generation = in.number<std::uint64_t>();
  const auto folders = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < folders; ++i) {
    BatchFolder cut;
    cut.number = in.number<std::uint64_t>();
    cut.base = in.id();
    cut.built = in.id();
    const auto entries = in.number<std::uint32_t>();
    for (std::uint32_t k = 0; k < entries; ++k) cut.entries.push_back(read_entry(in, i));
    intent.batch.folders.push_back(std::move(cut));
  }
  if (intent.batch.folders.empty()) throw Error(Errc::corrupt, "state: a batch without folders");
  in.finish();
  return intent;
}

}  // namespace nacre
