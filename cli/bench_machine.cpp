// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_machine.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <system_error>

#include "base/error.hpp"
#include "base/fd.hpp"
#include "cli/folders.hpp"
#include "crypto/hash.hpp"
#include "crypto/library_key.hpp"
#include "crypto/random.hpp"
#include "crypto/seal.hpp"

namespace nacre {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t piece = std::size_t{4} << 20U;
constexpr std::chrono::milliseconds measured{300};
constexpr std::size_t disk_pieces = 32;  // 128 MiB
constexpr std::chrono::seconds disk_time{10};

template <class Work>
double rate_of(Work work) {
  const auto begin = Clock::now();
  std::size_t pieces = 0;
  do {
    work();
    ++pieces;
  } while (Clock::now() < begin + measured);
  return static_cast<double>(pieces * piece) / seconds_since(begin);
}

[[noreturn]] void disk_failed(const std::filesystem::path& folder) {
  throw Error(errno == ENOSPC ? Errc::full : Errc::denied,
              folder.string() + ": " + std::generic_category().message(errno) +
                  "; the disk was not measured");
}

}  // namespace

std::vector<Speed> measure_ciphers(const std::filesystem::path&) {
  Bytes plain(piece), stored(LibraryKey::stored_size(piece)), sealed(piece + SealKey::overhead);
  fill_random(plain);
  const LibraryKey key(4, Secret::random(32), Secret::random(16));
  const SealKey seal(Secret::random(SealKey::size));
  std::vector<Speed> speeds;
  speeds.push_back({"sha1", "SHA-1, by which all is named", rate_of([&] { sha1(plain); })});
  speeds.push_back({"aes_encrypt", "AES-256-CBC, encrypting (libraries)",
                    rate_of([&] { key.encrypt(plain, stored); })});
  speeds.push_back({"aes_decrypt", "AES-256-CBC, decrypting",
                    rate_of([&] { key.decrypt_part({}, ByteView(stored).first(piece), plain); })});
  speeds.push_back({"seal", "XChaCha20-Poly1305, sealing (cache and state)",
                    rate_of([&] { seal.seal({}, plain, sealed); })});
  return speeds;
}

std::vector<Speed> measure_disk(const std::filesystem::path& folder) {
  make_private_folder(folder);
  auto name = (folder / "bench.XXXXXX").string();
  const Fd file(::mkostemp(name.data(), O_CLOEXEC));
  if (file.get() < 0) disk_failed(folder);
  ::unlink(name.c_str());
  Bytes bytes(piece);
  fill_random(bytes);

  auto begin = Clock::now();
  std::size_t pieces = 0;
  for (; pieces < disk_pieces && Clock::now() < begin + disk_time; ++pieces)
    if (::write(file.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      disk_failed(folder);
  if (::fdatasync(file.get()) != 0) disk_failed(folder);
  const auto written = static_cast<double>(pieces * piece) / seconds_since(begin);

  ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  begin = Clock::now();
  for (std::size_t i = 0; i < pieces; ++i)
    if (::pread(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(i * piece)) < 0)
      disk_failed(folder);
  const auto read = static_cast<double>(pieces * piece) / seconds_since(begin);
  return {{"disk_write", "disk of the cache: write, and sync", written},
          {"disk_read", "disk of the cache: read", read}};
}

}  // namespace nacre
