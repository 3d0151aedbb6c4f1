// SPDX-License-Identifier: Apache-2.0
#include <zlib.h>

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
  constexpr std::size_t piece_size = std::size_t{32} << 10U, most_input = std::size_t{1} << 30U;
  if (bytes.size() > most_input) throw Error(Errc::corrupt, "zlib stream: too long");
  z_stream stream = {};
  if (inflateInit(&stream) != Z_OK) throw Error(Errc::internal, "inflate: out of memory");
  const std::unique_ptr<z_stream, EndInflate> ends(&stream);
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());

  // Grows with what really comes out, so that a small stream that claims much costs little; in
  // pieces from one place, as most streams are small and there are many.
  static thread_local const auto piece = std::make_unique_for_overwrite<Bytef[]>(piece_size);
  Bytes out;
  for (;;) {
    stream.next_out = piece.get();
    stream.avail_out = static_cast<uInt>(piece_size);
    const int status = ::inflate(&stream, Z_FINISH);  // needs no window where all fits
    out.insert(out.end(), piece.get(), stream.next_out);
    if (out.size() > limit) {
      throw Error(Errc::corrupt,
                  "zlib stream: more than " + std::to_string(limit) + " bytes when inflated");
    }
    if (status == Z_STREAM_END) break;
    if (status != Z_OK && status != Z_BUF_ERROR) {
      throw Error(Errc::corrupt, "zlib stream: damaged");
    }
    if (stream.avail_out != 0) throw Error(Errc::corrupt, "zlib stream: cut short");
  }
  if (stream.avail_in != 0) throw Error(Errc::corrupt, "zlib stream: something follows its end");
  return out;
}

}  // namespace nacre
