// SPDX-License-Identifier: Apache-2.0
//
// Whatever bytes a server sends as an object, reading them either throws
// Error{corrupt} or gives something that is written and read back equal.  The first byte
// chooses the reader; what follows is the object.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "remote/conflict_name.hpp"
#include "remote/objects.hpp"

namespace {

using namespace nacre;

void demand(bool held) {
  if (!held) std::abort();
}

void directory(const ObjectId& id, ByteView json) {
  const auto first = read_directory(id, json);
  const auto text = write_directory(first);
  const auto again = read_directory(id, text);
  demand(again.entries == first.entries && write_directory(again) == text);
  for (const auto& entry : first.entries) {
    demand(name_fault(entry.name) == nullptr && first.find(entry.name) == &entry);
    demand(name_fault(conflict_name(entry.name, entry.modifier, entry.mtime)) == nullptr);
  }
}

void file(const ObjectId& id, ByteView json) {
  const auto first = read_file(id, json);
  const auto again = read_file(id, write_file(first));
  demand(again.size == first.size && again.blocks == first.blocks);
}

void commit(ObjectId id, ByteView json) {
  const auto first = read_commit(id, json);
  const auto text = write_commit(first);
  const auto again = read_commit(id, text);
  demand(write_commit(again) == text && commit_id(again) == commit_id(first));
  demand(again.encryption == first.encryption);
}

void zlib(ByteView bytes) {
  constexpr std::size_t limit = std::size_t{1} << 20U;
  const auto plain = inflate(bytes, limit);
  demand(plain.size() <= limit && inflate(deflate(plain), limit) == plain);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const ByteView bytes(data + 1, size - 1);
  const ObjectId id{};
  try {
    switch (data[0]) {
      case 'd': directory(id, bytes); break;
      case 'f': file(id, bytes); break;
      case 'c': commit(id, bytes); break;
      case 'z': zlib(bytes); break;
      default: break;
    }
  } catch (const Error& e) {
    demand(e.code() == Errc::corrupt);
  }
  return 0;
}
