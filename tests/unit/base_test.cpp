// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>

#include <catch2/catch.hpp>
#include <utility>

#include "base/spare_bytes.hpp"

namespace nacre {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20U;

TEST_CASE("a large buffer that is given back is the next one") {
  auto bytes = spare_bytes::take(mib - 1);
  CHECK(bytes.empty());
  CHECK(bytes.capacity() >= mib - 1);
  bytes.resize(mib - 1, 0xaa);
  const auto* const where = bytes.data();
  spare_bytes::give_back(std::move(bytes));
  auto again = spare_bytes::take(mib / 2);
  CHECK(again.data() == where);
  CHECK(again.empty());
  CHECK(spare_bytes::take(mib).data() != where);
}

TEST_CASE("shared bytes come back when the last one drops them") {
  auto bytes = spare_bytes::take(8 * mib);
  bytes.resize(7 * mib, 1);
  const auto* const where = bytes.data();
  auto first = spare_bytes::shared(std::move(bytes));
  auto second = first;
  first.reset();
  CHECK(spare_bytes::take(8 * mib).data() != where);
  CHECK(second->size() == 7 * mib);
  second.reset();
  CHECK(spare_bytes::take(8 * mib).data() == where);
}

TEST_CASE("nothing is kept that was let go of") {
  spare_bytes::give_back(spare_bytes::take(64 * mib));
  spare_bytes::let_go();
  const auto before = ::mallinfo2().hblkhd;
  const auto bytes = spare_bytes::take(64 * mib);
  CHECK(::mallinfo2().hblkhd >= before + 64 * mib);  // mapped anew
}

TEST_CASE("a much larger buffer is not spent on little") {
  auto bytes = spare_bytes::take(8 * mib);
  const auto* const where = bytes.data();
  spare_bytes::give_back(std::move(bytes));
  CHECK(spare_bytes::take(mib).data() != where);
  CHECK(spare_bytes::take(100).data() != where);
}

}  // namespace
}  // namespace nacre
