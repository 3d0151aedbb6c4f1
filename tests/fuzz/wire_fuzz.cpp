// SPDX-License-Identifier: Apache-2.0
//
// Whatever a server sends is read or refused with Error{corrupt}; nothing else happens.
// The first byte chooses the reader.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/error.hpp"
#include "remote/wire.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nacre;
  if (size == 0) return 0;
  const ByteView input(data + 1, size - 1);
  constexpr std::array<void (*)(ByteView), 11> readers = {
      [](ByteView bytes) {
        Bytes again;
        for (const auto& object : read_pack(bytes)) append_packed(again, object.id, object.stored);
        if (!std::ranges::equal(again, bytes)) std::abort();
      },
      [](ByteView bytes) {
        const auto ids = read_ids(bytes);
        if (read_ids(as_bytes(write_ids(ids))) != ids) std::abort();
      },
      [](ByteView bytes) { read_head(bytes); },
      [](ByteView bytes) { read_heads(bytes); },
      [](ByteView bytes) { read_block_map(bytes); },
      [](ByteView bytes) { read_names(bytes); },
      [](ByteView bytes) { read_tokens(bytes); },
      [](ByteView bytes) { read_account(bytes); },
      [](ByteView bytes) { read_libraries(bytes); },
      [](ByteView bytes) { read_download_info(bytes); },
      [](ByteView bytes) {
        if (error_words(bytes).size() > 200) std::abort();
      }};
  try {
    readers.at(data[0] % readers.size())(input);
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) std::abort();
  }
  return 0;
}
