// SPDX-License-Identifier: Apache-2.0
#include "fs/library_list.hpp"

#include <algorithm>
#include <concepts>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace nacre {
namespace {

constexpr std::uint8_t is_encrypted = 1, is_writable = 2, has_head = 4;

template <std::unsigned_integral T>
void put(Bytes& out, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i)
    out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

void put(Bytes& out, std::string_view text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  const auto bytes = as_bytes(text);
  out.insert(out.end(), bytes.begin(), bytes.end());
}

ByteView take(ByteView& rest, std::size_t size) {
  if (size > rest.size()) throw Error(Errc::corrupt, "state: the list of libraries ends too early");
  const auto taken = rest.first(size);
  rest = rest.subspan(size);
  return taken;
}

template <std::unsigned_integral T>
T number(ByteView& rest) {
  const auto bytes = take(rest, sizeof(T));
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value | (static_cast<T>(bytes[i]) << (8 * i)));
  return value;
}

std::string text(ByteView& rest) {
  const auto size = number<std::uint32_t>(rest);
  return std::string(as_text(take(rest, size)));
}

}  // namespace

Bytes record_key::libraries() {
  constexpr std::string_view key = "libraries";
  return {key.begin(), key.end()};
}

Bytes encode(const std::vector<LibraryInfo>& libraries) {
  Bytes out;
  for (const auto& info : libraries) {
    put(out, info.id.text());
    put(out, info.name);
    put(out, info.owner);
    put(out,
        static_cast<std::uint8_t>((info.encrypted ? is_encrypted : 0) |
                                  (info.writable ? is_writable : 0) | (info.head ? has_head : 0)));
    put(out, info.size);
    put(out, static_cast<std::uint64_t>(info.mtime));
    if (info.head) out.insert(out.end(), info.head->bytes.begin(), info.head->bytes.end());
  }
  return out;
}

std::vector<LibraryInfo> decode_libraries(ByteView bytes) {
  std::vector<LibraryInfo> libraries;
  while (!bytes.empty()) {
    const auto id = LibraryId::parse(text(bytes));
    if (!id) throw Error(Errc::corrupt, "state: the list of libraries names none");
    LibraryInfo info;
    info.id = *id;
    info.name = text(bytes);
    info.owner = text(bytes);
    const auto flags = number<std::uint8_t>(bytes);
    info.encrypted = (flags & is_encrypted) != 0;
    info.writable = (flags & is_writable) != 0;
    info.size = number<std::uint64_t>(bytes);
    info.mtime = static_cast<std::int64_t>(number<std::uint64_t>(bytes));
    if ((flags & has_head) != 0) {
      ObjectId head;
      std::ranges::copy(take(bytes, head.bytes.size()), head.bytes.begin());
      info.head = head;
    }
    libraries.push_back(std::move(info));
  }
  return libraries;
}

}  // namespace nacre
