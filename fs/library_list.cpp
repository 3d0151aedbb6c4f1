// SPDX-License-Identifier: Apache-2.0
#include "fs/library_list.hpp"

#include <string_view>

#include "base/error.hpp"
#include "fs/record_bytes.hpp"

namespace nacre {
namespace {

constexpr std::uint8_t is_encrypted = 1, is_writable = 2, has_head = 4;

}  // namespace

Bytes record_key::libraries() {
  constexpr std::string_view key = "libraries";
  return {key.begin(), key.end()};
}

Bytes encode(const std::vector<LibraryInfo>& libraries) {
  RecordWriter out;
  for (const auto& info : libraries) {
    const auto flags = (info.encrypted ? is_encrypted : 0) | (info.writable ? is_writable : 0) |
                       (info.head ? has_head : 0);
    out.text(info.id.text())
        .text(info.name)
        .text(info.owner)
        .number(static_cast<std::uint8_t>(flags))
        .number(info.size)
        .number(static_cast<std::uint64_t>(info.mtime));
    if (info.head) out.raw(info.head->bytes);
  }
  return out.take();
}

std::vector<LibraryInfo> decode_libraries(ByteView bytes) {
  std::vector<LibraryInfo> libraries;
  RecordReader in(bytes);
  while (!in.rest().empty()) {
    const auto id = LibraryId::parse(in.text());
    if (!id) throw Error(Errc::corrupt, "state: the list of libraries names none");
    LibraryInfo info;
    info.id = *id;
    info.name = in.text();
    info.owner = in.text();
    const auto flags = in.number<std::uint8_t>();
    info.encrypted = (flags & is_encrypted) != 0;
    info.writable = (flags & is_writable) != 0;
    info.size = in.number<std::uint64_t>();
    info.mtime = static_cast<std::int64_t>(in.number<std::uint64_t>());
    if ((flags & has_head) != 0) info.head = in.id();
    libraries.push_back(std::move(info));
  }
  return libraries;
}

}  // namespace nacre
