// SPDX-License-Identifier: Apache-2.0
#include "base/spare_bytes.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <list>
#include <new>
#include <utility>

#include "base/guarded.hpp"

namespace nacre::spare_bytes {
namespace {

constexpr std::size_t least = std::size_t{256} << 10U;  // smaller ones malloc has at hand
constexpr std::size_t most_kept = 6;                    // as many blocks as are fetched at once
constexpr std::size_t page = 4096;
constexpr std::size_t huge_page = std::size_t{2} << 20U;

Guarded<std::list<Bytes>> spare;

// Blocks of a file differ in size, and still fit each other's buffers: a power of four, of which
// nothing is there before it is touched.
std::size_t room_for(std::size_t size) {
  auto room = least;
  while (room < size) room *= 4;
  return room;
}

// A hint: what is whole pages of its room is touched in few faults.
void in_huge_pages(Bytes& bytes) {
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end =
      (reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.capacity()) / page * page;
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

}  // namespace

Bytes take(std::size_t size) {
  std::list<Bytes> found;
  if (size >= least) {
    spare.with([&](auto& all) {
      const auto fits = std::ranges::find_if(
          all, [&](const Bytes& bytes) { return bytes.capacity() == room_for(size); });
      if (fits != all.end()) found.splice(found.end(), all, fits);
    });
  }
  if (!found.empty()) return std::move(found.front());
  Bytes fresh;
  fresh.reserve(size >= least ? room_for(size) : size);
  if (size >= huge_page) in_huge_pages(fresh);
  return fresh;
}

void give_back(Bytes bytes) noexcept {
  if (bytes.capacity() < least) return;
  bytes.clear();
  try {
    std::list<Bytes> one;
    one.push_back(std::move(bytes));
    spare.with([&](auto& all) {
      all.splice(all.begin(), one);
      if (all.size() > most_kept) one.splice(one.end(), all, std::prev(all.end()));
    });
  } catch (const std::bad_alloc&) {  // then it goes
  }
}

void let_go() noexcept {
  std::list<Bytes> all;
  spare.with([&](auto& kept) { all.swap(kept); });
}

std::shared_ptr<const Bytes> shared(Bytes bytes) {
  return std::shared_ptr<Bytes>(new Bytes(std::move(bytes)), [](Bytes* mine) {
    give_back(std::move(*mine));
    delete mine;
  });
}

}  // namespace nacre::spare_bytes
