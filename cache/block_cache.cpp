// SPDX-License-Identifier: Apache-2.0
#include "cache/block_cache.hpp"

#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <unordered_set>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "cache/db.hpp"
#include "cache/lru_index.hpp"
#include "cache/pins.hpp"

namespace nacre {
namespace {

// An extent fills eight of LMDB's pages, less its header, sealed or tagged; and
// it is whole cipher blocks.
constexpr std::size_t page = 4096, page_header = 16;
constexpr std::size_t extent_pages = 8;
constexpr std::size_t extent_size =
    (extent_pages * page - page_header - SealKey::overhead) / 16 * 16;

// Freed pages are used again a transaction or two later, and not all fit where they are wanted.
// Of a limit so much is left to that, so that the file keeps to it; a small one is for what is
// kept, and the file is larger.
constexpr std::uint64_t small_limit = std::uint64_t{64} << 20U;

std::uint64_t room_for_blocks(std::uint64_t limit) {
  return limit < small_limit ? limit : limit - limit / 64 - (std::uint64_t{16} << 20U);
}

std::size_t room_for_file(std::uint64_t limit) {
  return static_cast<std::size_t>(limit < small_limit ? limit * 5 / 4 + small_limit : limit);
}

constexpr std::size_t touches_kept = 4096;  // uses remembered until the next write
constexpr unsigned least_free_percent = 5;  // of the disk; nothing is admitted below

struct Record {
  std::uint64_t number = 0;  // names the extents
  std::uint64_t size = 0;
  Turn turn{};  // of last use
  BlockCache::Kind kind = BlockCache::Kind::plain;

  static constexpr std::size_t stored = 8 + 8 + 8 + 1;

  [[nodiscard]] std::size_t extents() const { return (size + extent_size - 1) / extent_size; }
  [[nodiscard]] std::uint64_t cost() const {
    const auto tail = size % extent_size;
    const auto tail_pages =
        tail == 0 ? 0 : (tail + page_header + SealKey::overhead + page - 1) / page;
    return (size / extent_size * extent_pages + tail_pages + 1) * page;
  }
};

Bytes write_record(const Record& record) {
  Bytes bytes;
  for (const auto& part : {turn_of(record.number), turn_of(record.size), record.turn})
    bytes.insert(bytes.end(), part.begin(), part.end());
  bytes.push_back(record.kind == BlockCache::Kind::plain ? 0 : 1);
  return bytes;
}

std::uint64_t number_at(ByteView bytes, std::size_t offset) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < 8; ++i) number = number << 8U | bytes[offset + i];
  return number;
}

std::optional<Record> read_record(std::optional<ByteView> bytes) {
  if (!bytes || bytes->size() != Record::stored) return std::nullopt;
  Record record;
  record.number = number_at(*bytes, 0);
  record.size = number_at(*bytes, 8);
  std::ranges::copy(bytes->subspan(16, 8), record.turn.begin());
  record.kind = bytes->back() == 0 ? BlockCache::Kind::plain : BlockCache::Kind::ciphertext;
  return record;
}

Bytes key_of(const LibraryId& library, const ObjectId& id) {
  const auto text = as_bytes(library.text());
  Bytes key(text.begin(), text.end());
  key.insert(key.end(), id.bytes.begin(), id.bytes.end());
  return key;
}

std::array<std::uint8_t, 12> extent_key(std::uint64_t number, std::size_t index) {
  std::array<std::uint8_t, 12> key{};
  std::ranges::copy(turn_of(number), key.begin());
  for (std::size_t i = 0; i < 4; ++i) key[8 + i] = static_cast<std::uint8_t>(index >> (24 - 8 * i));
  return key;
}

// Where a sealed extent belongs: its block, and its place in it.
Bytes seal_place(ByteView block, std::size_t index) {
  Bytes place(block.begin(), block.end());
  for (unsigned shift = 0; shift < 32; shift += 8)
    place.push_back(static_cast<std::uint8_t>(index >> shift));
  return place;
}

}  // namespace

struct BlockCache::Store {
  Store(const std::filesystem::path& its_dir, SealKey its_key, std::uint64_t its_limit)
      : dir(its_dir),
        key(std::move(its_key)),
        limit(room_for_blocks(its_limit)),
        db(open_disposable(dir, room_for_file(its_limit) / page * page)) {
    records = db.table("blocks");
    extents = db.table("extents");
    turns = db.table("turns");
    pins = Pins(db.table("pins"));
    const auto txn = db.read();
    turn = next_turn(txn, turns);
    txn.scan(records, {}, [&](ByteView name, ByteView value) {
      if (const auto record = read_record(value)) {
        used += record->cost();
        if (pins.contains(txn, name)) pinned += record->cost();
        next_number = std::max(next_number, record->number + 1);
      }
      return true;
    });
  }

  // One change; the counters are as before where it fails.
  template <class F>
  void change(F f) {
    const std::lock_guard lock(writing);
    const auto used_before = used.load(), pinned_before = pinned.load();
    try {
      auto txn = db.write();
      f(txn);
      std::move(txn).commit();
    } catch (const Error&) {
      used = used_before;
      pinned = pinned_before;
      throw;
    }
  }

  void erase(WriteTxn& txn, ByteView name) {
    const auto record = read_record(txn.get(records, name));
    if (!record) return;
    for (std::size_t i = 0; i < record->extents(); ++i)
      txn.erase(extents, extent_key(record->number, i));
    if (pins.contains(txn, name))
      pinned -= record->cost();
    else
      txn.erase(turns, record->turn);
    txn.erase(records, name);
    used -= record->cost();
  }

  void evict(WriteTxn& txn, std::uint64_t target) {
    while (used > target) {
      const auto first = oldest(txn, turns);
      if (!first) return;
      erase(txn, first->second);
      txn.erase(turns, first->first);  // also where its record is missing
    }
  }

  // Uses since the last write move their blocks to the end of the line.
  void flush_touches(WriteTxn& txn) {
    std::unordered_set<std::string> moved;
    {
      const std::lock_guard lock(touched_mutex);
      moved.swap(touched);
    }
    for (const auto& name : moved) {
      auto record = read_record(txn.get(records, as_bytes(name)));
      if (!record || pins.contains(txn, as_bytes(name))) continue;
      txn.erase(turns, record->turn);
      to_the_end(txn, as_bytes(name), *record);
    }
  }

  void to_the_end(WriteTxn& txn, ByteView name, Record record) {
    record.turn = turn_of(turn++);
    txn.put(turns, record.turn, name);
    txn.put(records, name, write_record(record));
  }

  void pin(WriteTxn& txn, ByteView name) {
    if (pins.contains(txn, name)) return;
    pins.add(txn, name);
    if (const auto record = read_record(txn.get(records, name))) {
      txn.erase(turns, record->turn);
      pinned += record->cost();
    }
  }

  void unpin(WriteTxn& txn, ByteView name) {
    pins.remove(txn, name);
    if (const auto record = read_record(txn.get(records, name))) {
      to_the_end(txn, name, *record);
      pinned -= record->cost();
    }
  }

  bool disk_is_short(std::uint64_t wanted) const {
    struct statvfs disk = {};
    if (::statvfs(dir.c_str(), &disk) != 0) return false;
    const auto free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    return free < wanted + std::uint64_t{disk.f_blocks} * disk.f_frsize / 100 * least_free_percent;
  }

  void admit(WriteTxn& txn, const Bytes& name, ByteView stored, Kind kind) {
    if (txn.get(records, name)) return;
    flush_touches(txn);
    Record record;
    record.number = next_number++;
    record.size = stored.size();
    record.turn = turn_of(turn++);
    record.kind = kind;
    evict(txn, limit - std::min(limit, record.cost()));
    for (std::size_t i = 0; i < record.extents(); ++i) {
      const auto part =
          stored.subspan(i * extent_size, std::min(extent_size, stored.size() - i * extent_size));
      const auto where = extent_key(record.number, i);
      if (kind == Kind::plain) {
        key.seal(seal_place(name, i), part,
                 txn.reserve(extents, where, part.size() + SealKey::overhead));
      } else {
        // Not sealed again; but damage must not reach a reader, who would decrypt it to something.
        const auto room = txn.reserve(extents, where, part.size() + SealKey::overhead);
        std::memcpy(room.data(), part.data(), part.size());
        key.prove(seal_place(name, i), part, room.last(SealKey::overhead));
      }
    }
    txn.put(records, name, write_record(record));
    const bool stays = pins.contains(txn, name);
    if (!stays) txn.put(turns, record.turn, name);
    used += record.cost();
    if (stays) pinned += record.cost();
    db.looked_at(2 * record.extents());  // one is put, and often one is erased for it
  }

  // The bytes of an extent, checked, until the next call of this thread; or nothing.
  std::optional<ByteView> open_extent(const ReadTxn& txn, ByteView name, const Record& record,
                                      std::size_t index, Db::Next next) const {
    static thread_local const auto buffer =
        std::make_unique_for_overwrite<std::uint8_t[]>(2 * extent_pages * page);
    const auto size = std::min<std::size_t>(extent_size, record.size - index * extent_size);
    const auto found = txn.get(extents, extent_key(record.number, index));
    if (!found || found->size() != size + SealKey::overhead) return std::nullopt;
    const MutableByteView stored(buffer.get(), found->size());
    db.copy(*found, stored, next);
    if (record.kind == Kind::ciphertext) {
      const bool good =
          key.proves(seal_place(name, index), stored.first(size), stored.last(SealKey::overhead));
      return good ? std::optional<ByteView>(stored.first(size)) : std::nullopt;
    }
    const MutableByteView opened(buffer.get() + extent_pages * page, size);
    return key.open(seal_place(name, index), stored, opened) ? std::optional<ByteView>(opened)
                                                             : std::nullopt;
  }

  const std::filesystem::path dir;
  const SealKey key;
  const std::uint64_t limit;  // of all blocks
  Db db;
  Table records{}, extents{}, turns{};
  Pins pins;

  std::mutex writing;  // one writer, and the counters below
  std::uint64_t turn = 0, next_number = 0;
  std::atomic<std::uint64_t> used = 0, pinned = 0;

  std::mutex touched_mutex;
  std::unordered_set<std::string> touched;
};

BlockCache::BlockCache(const std::filesystem::path& dir, SealKey key, std::uint64_t limit)
    : store_(std::make_unique<Store>(dir, std::move(key), limit)) {}

BlockCache::~BlockCache() = default;

std::optional<std::uint64_t> BlockCache::size(const LibraryId& library, const ObjectId& id) {
  const auto txn = store_->db.read();
  const auto record = read_record(txn.get(store_->records, key_of(library, id)));
  if (!record) return std::nullopt;
  return record->size;
}

bool BlockCache::read(const LibraryId& library, const ObjectId& id, std::uint64_t offset,
                      std::size_t size, const Take& take) {
  auto& s = *store_;
  const auto name = key_of(library, id);
  bool damaged = false;
  {
    const auto txn = s.db.read();
    const auto record = read_record(txn.get(s.records, name));
    if (!record) return false;
    if (offset > record->size || size > record->size - offset) return false;
    // Who reads in sequence asks for more at once.
    const auto next = size < extent_size ? Db::Next::elsewhere : Db::Next::follows;
    while (size != 0 && !damaged) {
      const auto extent =
          s.open_extent(txn, name, *record, static_cast<std::size_t>(offset / extent_size), next);
      damaged = !extent;
      if (damaged) break;
      const auto rest = extent->subspan(static_cast<std::size_t>(offset % extent_size));
      const auto part = rest.first(std::min(size, rest.size()));
      take(part);
      offset += part.size();
      size -= part.size();
    }
  }
  if (damaged) {
    log::warning("cache: a block is damaged, it is fetched again");
    drop(library, id);
    return false;
  }
  const std::lock_guard lock(s.touched_mutex);
  if (s.touched.size() < touches_kept) s.touched.emplace(as_text(name));
  return true;
}

bool BlockCache::read(const LibraryId& library, const ObjectId& id, std::uint64_t offset,
                      MutableByteView out) {
  return read(library, id, offset, out.size(), [&](ByteView part) {
    std::memcpy(out.data(), part.data(), part.size());
    out = out.subspan(part.size());
  });
}

void BlockCache::put(const LibraryId& library, const ObjectId& id, ByteView stored,
                     Kind kind) noexcept try {
  auto& s = *store_;
  if (stored.empty() || stored.size() > s.limit / 2) return;
  const auto name = key_of(library, id);
  if (s.disk_is_short(stored.size())) return;
  try {
    s.change([&](WriteTxn& txn) { s.admit(txn, name, stored, kind); });
  } catch (const Error& error) {
    if (error.code() != Errc::full) throw;
    // Room that the next one finds: freed pages cannot be used at once.
    s.change([&](WriteTxn& txn) {
      s.evict(txn, s.used - std::min<std::uint64_t>(s.used, s.limit / 8 + 2 * stored.size()));
    });
  }
} catch (const std::exception& error) {
  log::warning(std::string("cache: a block is not kept: ") + error.what());
}

void BlockCache::drop(const LibraryId& library, const ObjectId& id) noexcept try {
  store_->change([&](WriteTxn& txn) { store_->erase(txn, key_of(library, id)); });
} catch (const std::exception& error) {
  log::warning(std::string("cache: ") + error.what());
}

void BlockCache::pin(const LibraryId& library, std::span<const ObjectId> ids) {
  store_->change([&](WriteTxn& txn) {
    for (const auto& id : ids) store_->pin(txn, key_of(library, id));
  });
}

void BlockCache::unpin_others(const LibraryId& library, std::span<const ObjectId> kept) {
  store_->change([&](WriteTxn& txn) {
    for (const auto& name : store_->pins.others(txn, library, kept)) store_->unpin(txn, name);
  });
}

std::uint64_t BlockCache::evict(const LibraryId& library, std::span<const ObjectId> ids) {
  std::uint64_t freed = 0;
  store_->change([&](WriteTxn& txn) {
    const auto before = store_->used.load();
    for (const auto& id : ids) {
      const auto name = key_of(library, id);
      if (!store_->pins.contains(txn, name)) store_->erase(txn, name);
    }
    freed = before - store_->used;
  });
  return freed;
}

std::uint64_t BlockCache::cost(std::uint64_t stored) { return Record{.size = stored}.cost(); }

std::uint64_t BlockCache::used() const { return store_->used; }
std::uint64_t BlockCache::pinned() const { return store_->pinned; }

}  // namespace nacre
