// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "remote/objects.hpp"

namespace nacre {

Bytes deflate(ByteView bytes) {
  auto length = compressBound(bytes.size());
  Bytes out(length);
  if (compress2(out.data(), &length, bytes.data(), bytes.size(), Z_DEFAULT_COMPRESSION) != Z_OK) {
    throw Error(Errc::internal, "deflate: out of memory");
  }
  out.resize(length);
  return out;
}

namespace {

struct EndInflate {
  void operator()(z_stream* stream) const noexcept { inflateEnd(stream); }
};

}  // namespace

Bytes inflate(ByteView bytes, std::size_t limit) {
  constexpr std::size_t first_guess = 4096, most_input = std::size_t{1} << 30U;
  if (bytes.size() > most_input) throw Error(Errc::corrupt, "zlib stream: too long");
  z_stream stream = {};
  if (inflateInit(&stream) != Z_OK) throw Error(Errc::internal, "inflate: out of memory");
  const std::unique_ptr<z_stream, EndInflate> ends(&stream);
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());

  // Grows with what really comes out, so that a small stream that claims much costs little.
  // One byte over the limit is room to see that there is more.
  Bytes out(std::min(limit + 1, std::max(first_guess, bytes.size() * 6)));
  std::size_t filled = 0;
  for (;;) {
    const auto room = std::min(out.size() - filled, most_input);
    stream.next_out = out.data() + filled;
    stream.avail_out = static_cast<uInt>(room);
    const int status = ::inflate(&stream, Z_NO_FLUSH);
    filled += room - stream.avail_out;
    if (filled > limit) {
      throw Error(Errc::corrupt,
                  "zlib stream: more than " + std::to_string(limit) + " bytes when inflated");
    }
    if (status == Z_STREAM_END) break;
    if (status != Z_OK && status != Z_BUF_ERROR) {
      throw Error(Errc::corrupt, "zlib stream: damaged");
    }
    if (stream.avail_out != 0) throw Error(Errc::corrupt, "zlib stream: cut short");
    if (filled == out.size()) out.resize(std::min(limit + 1, out.size() * 2));
  }
  if (stream.avail_in != 0) throw Error(Errc::corrupt, "zlib stream: something follows its end");
  out.resize(filled);
  return out;
}

}  // namespace nacre
