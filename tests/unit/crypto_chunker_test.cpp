// SPDX-License-Identifier: Apache-2.0
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/chunker.hpp"
#include "crypto/hash.hpp"

namespace nacre {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20U;

// The stream of seafile-protocol, section 2.2.
Bytes xorshift(std::size_t size) {
  Bytes bytes(size);
  std::uint32_t x = 1;
  for (auto& byte : bytes) {
    x ^= x << 13U;
    x ^= x >> 17U;
    x ^= x << 5U;
    byte = static_cast<std::uint8_t>(x);
  }
  return bytes;
}

// SHA-256 of prefix + "0", prefix + "1", …, one after the other.
Bytes digests(std::size_t size, const std::string& prefix = {}) {
  Bytes bytes;
  for (std::size_t i = 0; bytes.size() < size; ++i) {
    const auto text = prefix + std::to_string(i);
    std::array<std::uint8_t, SHA256_DIGEST_LENGTH> digest;
    SHA256(as_bytes(text).data(), text.size(), digest.data());
    bytes.insert(bytes.end(), digest.begin(), digest.end());
  }
  bytes.resize(size);
  return bytes;
}

struct Block {
  std::string id;
  std::size_t size;
  friend bool operator==(const Block&, const Block&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Block& block) {
    return out << block.size << ' ' << block.id;
  }
};

// Feeds pieces of these lengths in turn, as a reader with an odd buffer would.
std::vector<Block> blocks(ByteView data, const ChunkLimits& limits,
                          const std::vector<std::size_t>& pieces) {
  Chunker chunker(limits);
  std::vector<Block> found;
  std::size_t begin = 0, end = 0;
  const auto cut = [&] {
    found.push_back({sha1(data.subspan(begin, end - begin)).hex(), end - begin});
    begin = end;
  };
  for (std::size_t i = 0; end < data.size(); ++i) {
    auto piece = data.subspan(end, std::min(pieces[i % pieces.size()], data.size() - end));
    while (!piece.empty()) {
      const auto step = chunker.feed(piece);
      REQUIRE(step.taken <= piece.size());
      REQUIRE((step.border || step.taken == piece.size()));
      end += step.taken;
      piece = piece.subspan(step.taken);
      if (step.border) cut();
    }
  }
  if (begin < end) cut();
  return found;
}

std::vector<std::size_t> sizes(const std::vector<Block>& all) {
  std::vector<std::size_t> result;
  for (const auto& block : all) result.push_back(block.size);
  return result;
}

const std::vector<std::vector<std::size_t>> ways_to_feed = {
    {std::size_t{1} << 30U}, {65536}, {1, 47, 48, 49, 4095, 99991, 7 * mib + 3}};

constexpr ChunkLimits small = {49152, 65536, 131072};

TEST_CASE("64 MiB of noise are cut where Seafile cuts them, whatever pieces they come in") {
  const auto data = xorshift(64 * mib);
  REQUIRE(sha1(data).hex() == "a47752ccf6fc86fd9ca1f2ab34b072251927ac2a");
  const std::vector<Block> expected = {{"bc66786e70af1e7fb562463555f4c7fa94e82c83", 10485760},
                                       {"4902ad9e7acc8c620dcd8eefc9bc750d4bf45ef6", 10485760},
                                       {"ab26e2208ab8435d8d11d94cba99499ce7858ee7", 8963320},
                                       {"7192e8cb37f038c4cbe3aca5e003789404fa60c5", 10485760},
                                       {"821c40f1c270f4329bdb9af041baf102cdf9673d", 10485760},
                                       {"8241ca67e4155a506e809e9e5b26ec6c8d84ae83", 10485760},
                                       {"89c655f10f4df55d800ccb3ca9a5580d6935e5df", 5716744}};
  for (const auto& pieces : ways_to_feed) CHECK(blocks(data, {}, pieces) == expected);
}

TEST_CASE("smaller limits cut by the same rule") {
  const auto data = xorshift(mib);
  REQUIRE(sha1(data).hex() == "1148d774fbb9167761215f9796a84bc3140e942c");
  auto feeds = ways_to_feed;
  feeds.push_back({1});
  feeds.push_back({small.min - 1, 1, 1});
  feeds.push_back({small.min - 48, 47, 1});
  for (const auto& pieces : feeds) {
    const auto found = blocks(data, small, pieces);
    CHECK(sizes(found) == std::vector<std::size_t>{105813, 72551, 85918, 131072, 84967, 131072,
                                                   69710, 81460, 131072, 78776, 71885, 4280});
    CHECK(found.front().id == "b1f25fa875b9e7cb6cba25b3f08a1d8f05eeaa3f");
    CHECK(found.back().id == "26b62ecaf8bf3668b7c63b11a066bd474b4c22b7");
  }
}

TEST_CASE("a file shorter than the minimum is one chunk, an empty one is none") {
  const auto data = xorshift(small.min);
  for (const std::size_t size : {std::size_t{1}, std::size_t{47}, std::size_t{48}, small.min - 1})
    CHECK(sizes(blocks(ByteView(data).first(size), small, {1000})) ==
          std::vector<std::size_t>{size});
  CHECK(blocks({}, small, {1000}).empty());
}

TEST_CASE("a chunk owes nothing to the chunk before it") {
  const auto data = xorshift(mib);
  const auto whole = blocks(data, small, {4096});
  std::size_t at = 0;
  for (std::size_t i = 0; i < whole.size(); at += whole[i++].size) {
    const auto rest = blocks(ByteView(data).subspan(at), small, {4096});
    CHECK(std::equal(rest.begin(), rest.end(), whole.begin() + static_cast<std::ptrdiff_t>(i),
                     whole.end()));
  }
}

// What the real desktop client made of these files.
const std::vector<Block> det48M = {{"f59a06df8552c798df99393df0d59b05f71b9cdd", 7300976},
                                   {"96184b02d6e94acaa4e7c69824c0e03b650ba147", 10485760},
                                   {"7a01c7a2a120c47045fe09253173601de8529a61", 10485760},
                                   {"2da2e13ba4994f413651200d7540476e8d0cdb7f", 7745354},
                                   {"97944cbbd5e270db57ccab9d5bb3db32fa237a22", 10485760},
                                   {"1a365409ebc519d5196ad1d390ae3e6617365c4b", 3828038}};

TEST_CASE("det48M.bin has the blocks that the real client sent") {
  const auto data = digests(48 * mib);
  for (const auto& pieces : ways_to_feed) CHECK(blocks(data, {}, pieces) == det48M);
}

TEST_CASE("eight bytes put into det48M.bin leave the blocks before and after as they were") {
  auto data = digests(48 * mib);
  const std::string_view inserted = "inserted";
  data.insert(data.begin() + 10'000'000, inserted.begin(), inserted.end());
  auto expected = det48M;
  expected[1] = {"c9e7527b782fea073c04a6b68c69d643911c2458", 10485760};
  expected[2] = {"9896dabd9f830286842213ef0684c9cad361eee0", 10485760};
  expected[3] = {"da8b7bc025e38fc5fddb5d6e7e606a505c098520", 7745362};
  CHECK(blocks(data, {}, {65537}) == expected);
}

TEST_CASE("zeros20M.bin is cut at the maximum, twice the same block") {
  const Bytes data(20 * mib);
  const Block half = {"8c206a1a87599f532ce68675536f0b1546900d7a", 10485760};
  CHECK(blocks(data, {}, {65537}) == std::vector<Block>{half, half});
}

TEST_CASE("det5M.bin is one block") {
  CHECK(blocks(digests(5 * mib, "x"), {}, {65537}) ==
        std::vector<Block>{{"97cc3760442e5c05e03a554226989ec24a0bcf13", 5 * mib}});
}

}  // namespace
}  // namespace nacre
