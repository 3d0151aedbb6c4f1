// SPDX-License-Identifier: Apache-2.0
//
// What LibraryKey and unlock() refuse, and how they tell it; what they accept is in
// crypto_library_key_test.cpp.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "crypto/library_key.hpp"

namespace nacre {
namespace {

const LibraryId library = *LibraryId::parse("a1b2c3d4-0000-4111-8222-333344445555");

Secret password() { return Secret::copy_of(as_bytes("Passw0rd!")); }

Bytes noise(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

LibraryKey fixed_key(int version) {
  return LibraryKey(version, Secret::copy_of(noise(32, 1)), Secret::copy_of(noise(16, 2)));
}

// What the call throws; nothing where it returns.
template <class F>
std::optional<Errc> thrown(F&& call) {
  try {
    call();
    return std::nullopt;
  } catch (const Error& error) {
    return error.code();
  }
}

std::optional<Errc> refused(const Encryption& how) {
  return thrown([&] { (void)unlock(library, how, password()); });
}

// Set A of the specification, with its magic.
Encryption set_a(int version) {
  const std::string salt = "1177bc651f078a461285a48d479a73e8a83b6d45de506b28faece933b00f77b8";
  const std::string magic = "29ff4f3d777133d05425fadc3b0d212eefd3f16086cc01f0b36b07e6f8e6f0cf";
  switch (version) {
    case 2:
      return {2,
              "bf918f33805a9af35cf99634692de9a450962598edc32b6b20cc1f9ca292614b",
              "4fd2bb81bdc9f6032c990a5b8ee143688e31726e1a4c993ad15a65e3ae77435f"
              "50fd0d0f3e526768631adade0329fe06",
              "",
              "",
              "",
              ""};
    case 3:
      return {3,
              magic,
              "96bf101f91291e38917fc718699bc9388599a58ddb102b3044cf2e09e33d1445"
              "ba565bbbed56bbab477439bb4132fff7",
              salt,
              "",
              "",
              ""};
    default:
      return {4,
              magic,
              "77d1a4756521b5573351c0563654233f3ea1348a89f61bb65462a25f33a16e4e"
              "d655b5349b9c5751892790dff82a1724",
              salt,
              "",
              "",
              ""};
  }
}

Encryption hashed(const std::string& algorithm, const std::string& parameters) {
  auto how = set_a(4);
  how.magic.clear();
  how.pwd_hash = std::string(64, '0');
  how.pwd_hash_algo = algorithm;
  how.pwd_hash_params = parameters;
  return how;
}

TEST_CASE("libraries of version 1, and of none, are refused by name of their version") {
  Encryption old;
  old.version = 1;
  old.magic = "76b7e0aed6f56eae10427fee31d25763";
  CHECK(refused(old) == Errc::unsupported);
  for (const int version : {-1, 0, 1, 5, 100}) {
    auto how = set_a(2);
    how.version = version;
    CHECK(refused(how) == Errc::unsupported);
    CHECK(thrown([&] { fixed_key(version); }) == Errc::unsupported);
    CHECK(thrown([&] { (void)make_library_key(library, version, password()); }) ==
          Errc::unsupported);
  }
}

// Damage to the first cipher block does not show here: nothing authenticates it.
TEST_CASE("damage to a wrapped secret that can show is corrupt, though the password is right") {
  for (const int version : {2, 3, 4}) {
    const auto good = set_a(version);
    REQUIRE_FALSE(refused(good));
    // CBC carries a flip into the block after it as well; ECB does not.
    for (std::size_t at = version == 3 ? 64 : 32; at < good.random_key.size(); ++at) {
      auto how = good;
      how.random_key[at] = how.random_key[at] == '0' ? '1' : '0';
      CAPTURE(version, at);
      CHECK(refused(how) == Errc::corrupt);
    }
  }
}

TEST_CASE("fields that do not parse are corrupt, not a wrong password") {
  const auto check = [](auto change) {
    auto how = set_a(4);
    change(how);
    CHECK(refused(how) == Errc::corrupt);
  };
  check([](Encryption& how) { how.random_key.pop_back(); });
  check([](Encryption& how) { how.random_key += "00"; });
  check([](Encryption& how) { how.random_key[5] = 'x'; });
  check([](Encryption& how) { how.random_key.clear(); });
  check([](Encryption& how) { how.salt.clear(); });
  check([](Encryption& how) { how.salt.pop_back(); });
  check([](Encryption& how) { how.salt += "00"; });
  check([](Encryption& how) { how.salt[5] = 'x'; });
  check([](Encryption& how) { how.magic.pop_back(); });
  check([](Encryption& how) { how.magic += "0"; });
  check([](Encryption& how) { how.magic[5] = 'x'; });
  check([](Encryption& how) { how.magic.clear(); });
  auto how = hashed("pbkdf2_sha256", "1000");
  how.pwd_hash[5] = 'x';
  CHECK(refused(how) == Errc::corrupt);
  how.pwd_hash = "00";
  CHECK(refused(how) == Errc::corrupt);
}

TEST_CASE("hostile parameters of a password hash are refused before any work") {
  for (const char* const rounds : {"10000001", "4294967295"})
    CHECK(refused(hashed("pbkdf2_sha256", rounds)) == Errc::corrupt);
  for (const char* const parameters :
       {"65,1024,1", "4294967295,1024,1", "1,1048577,1", "1,4294967295,1", "1,102400,65",
        "1,102400,4294967295", "1,8,8"})
    CHECK(refused(hashed("argon2id", parameters)) == Errc::corrupt);
}

TEST_CASE("parameters that are missing or no numbers are the server's defaults") {
  const auto opens = [](const std::string& hash, const char* algorithm, const char* parameters) {
    auto how = hashed(algorithm, parameters);
    how.pwd_hash = hash;
    return unlock(library, how, password()).has_value();
  };
  const std::string rounds_1000 =
      "29ff4f3d777133d05425fadc3b0d212eefd3f16086cc01f0b36b07e6f8e6f0cf";
  for (const char* const rounds : {"", "0", "-5", "many", "99999999999999999999"})
    CHECK(opens(rounds_1000, "pbkdf2_sha256", rounds));
  CHECK_FALSE(opens(rounds_1000, "pbkdf2_sha256", "2000"));
  const std::string defaults = "0020cc56ae42a43de712012a2f3e478282065e4a1a0e752699b6f51431391cf6";
  for (const char* const parameters : {"", "1,8192", "1,8192,2,3", "0,-1,x", "2,0,8"})
    CHECK(opens(defaults, "argon2id", parameters));
  CHECK_FALSE(opens(defaults, "argon2id", "1,8192,2"));
}

TEST_CASE("an algorithm that is not known is unsupported") {
  for (const char* const name : {"argon2i", "ARGON2ID", "scrypt"})
    CHECK(refused(hashed(name, "")) == Errc::unsupported);
}

TEST_CASE("padding is right in all of its bytes, or corrupt") {
  for (std::size_t count = 1; count <= 16; ++count) {
    std::array<std::uint8_t, 16> last{};
    std::fill(last.end() - static_cast<std::ptrdiff_t>(count), last.end(),
              static_cast<std::uint8_t>(count));
    CHECK(LibraryKey::padding(last) == count);
    for (std::size_t i = 16 - count; i < 16 && count > 1; ++i) {
      auto wrong = last;
      wrong[i] ^= 0x80U;
      CHECK(thrown([&] { LibraryKey::padding(wrong); }) == Errc::corrupt);
    }
  }
  for (const int count : {0, 17, 32, 255}) {
    std::array<std::uint8_t, 16> last;
    last.fill(static_cast<std::uint8_t>(count));
    CHECK(thrown([&] { LibraryKey::padding(last); }) == Errc::corrupt);
  }
  CHECK(thrown([&] { LibraryKey::padding({}); }) == Errc::corrupt);
  CHECK(thrown([&] { LibraryKey::padding(Bytes(15, 1)); }) == Errc::corrupt);
}

TEST_CASE("a block with wrong length or padding, or of another key, is corrupt") {
  for (const int version : {2, 3, 4}) {
    const auto key = fixed_key(version);
    const auto plain = noise(100, 3);
    Bytes stored(LibraryKey::stored_size(plain.size()));
    key.encrypt(plain, stored);
    for (std::size_t size = 0; size < stored.size(); ++size)
      CHECK(thrown([&] { (void)key.decrypt(ByteView(stored).first(size)); }) == Errc::corrupt);
    auto damaged = stored;
    damaged.back() ^= 1U;
    CHECK(thrown([&] { (void)key.decrypt(damaged); }) == Errc::corrupt);
    const LibraryKey other(version, Secret::copy_of(noise(32, 9)), Secret::copy_of(noise(16, 2)));
    CHECK(thrown([&] { (void)other.decrypt(stored); }) == Errc::corrupt);
  }
}

TEST_CASE("any aligned part decrypts as the whole does, in place too") {
  std::mt19937 random(4);
  for (const int version : {2, 3, 4}) {
    const auto key = fixed_key(version);
    const auto plain = noise(100'003, 5);
    Bytes stored(LibraryKey::stored_size(plain.size()));
    key.encrypt(plain, stored);
    Bytes whole(stored.size());
    key.decrypt_part({}, stored, whole);
    CHECK((key.decrypt(stored) == plain));
    CHECK(std::equal(plain.begin(), plain.end(), whole.begin()));
    const auto blocks = stored.size() / 16;
    for (int i = 0; i < 200; ++i) {
      const auto from = random() % blocks * 16;
      const auto size = random() % (blocks - from / 16 + 1) * 16;
      const auto before = from == 0 ? ByteView() : ByteView(stored).subspan(from - 16, 16);
      const auto part = ByteView(stored).subspan(from, size);
      const auto expected = ByteView(whole).subspan(from, size);
      Bytes out(size), in_place(part.begin(), part.end());
      key.decrypt_part(before, part, out);
      key.decrypt_part(before, in_place, in_place);
      CHECK(std::ranges::equal(out, expected));
      CHECK(std::ranges::equal(in_place, expected));
    }
    Bytes out(16);
    CHECK(thrown([&] { key.decrypt_part({}, ByteView(stored).first(15), out); }) == Errc::internal);
    CHECK(thrown([&] {
            key.decrypt_part(ByteView(stored).first(8), ByteView(stored).first(16), out);
          }) == Errc::internal);
    CHECK(thrown([&] { key.decrypt_part({}, ByteView(stored).first(32), out); }) == Errc::internal);
  }
}

TEST_CASE("all lengths from 0 to 100 come back, one to sixteen bytes longer in store") {
  for (const int version : {2, 3, 4}) {
    const auto key = fixed_key(version);
    for (std::size_t size = 0; size <= 100; ++size) {
      const auto plain = noise(size, size);
      Bytes stored(LibraryKey::stored_size(size));
      CHECK((stored.size() > size && stored.size() <= size + 16 && stored.size() % 16 == 0));
      key.encrypt(plain, stored);
      CHECK((key.decrypt(stored) == plain));
    }
  }
}

TEST_CASE("any thread may use one key at any time") {
  const auto key = fixed_key(4);
  const auto plain = noise(10'000, 6);
  Bytes expected(LibraryKey::stored_size(plain.size()));
  key.encrypt(plain, expected);
  std::array<bool, 4> right{};
  std::vector<std::thread> threads;
  for (auto& result : right) {
    threads.emplace_back([&] {
      result = true;
      for (int i = 0; i < 50; ++i) {
        Bytes stored(expected.size());
        key.encrypt(plain, stored);
        result = result && stored == expected && key.decrypt(stored) == plain;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(std::ranges::all_of(right, [](bool each) { return each; }));
}

}  // namespace
}  // namespace nacre
