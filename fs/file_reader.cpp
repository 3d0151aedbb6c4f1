// SPDX-License-Identifier: Apache-2.0
#include "fs/file_reader.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "base/error.hpp"
#include "base/guarded.hpp"
#include "fs/layout.hpp"
#include "fs/patience.hpp"
#include "fs/ready_parts.hpp"

namespace nacre {
namespace {

constexpr std::size_t cipher_block = LibraryKey::cipher_block;
constexpr std::size_t look_ahead_to_learn = 4;  // blocks whose padding is asked for at once
constexpr std::uint64_t near = std::uint64_t{1}
                               << 20U;  // the kernel's own read-ahead comes shuffled
constexpr std::uint64_t worth_a_part = std::uint64_t{256} << 10U;  // of a block
constexpr std::uint64_t proof = std::uint64_t{256} << 10U;  // read in a row by a sequential reader

constexpr std::size_t aligned_down(std::size_t offset) {
  return offset / cipher_block * cipher_block;
}

// The plaintext of a block from `from` on, whole cipher blocks straight into `out`.  Takes the
// stored bytes from begin() on, in aligned parts.
class Decryption {
 public:
  Decryption(const LibraryKey& key, std::size_t from, MutableByteView out)
      : key_(key), from_(from), end_(from + out.size()), out_(out) {
    // CBC wants the cipher block before; ECB, which is version 3, does not.
    if (aligned_down(from) != 0 && key.version() != 3) lead_ = cipher_block;
  }

  [[nodiscard]] std::size_t begin() const noexcept { return aligned_down(from_) - lead_; }
  [[nodiscard]] std::size_t size() const noexcept {  // to take
    return aligned_down(end_ + cipher_block - 1) - begin();
  }

  void take(ByteView stored) {
    if (lead_ != 0) {
      follow(stored.first(lead_));
      stored = stored.subspan(std::exchange(lead_, 0));
    }
    while (!stored.empty() && !out_.empty()) {
      const auto skip = from_ % cipher_block;
      const auto whole = aligned_down(std::min(stored.size(), out_.size()));
      if (skip != 0 || whole == 0) {
        std::array<std::uint8_t, cipher_block> plain = {};
        decrypt(stored.first(cipher_block), plain);
        stored = stored.subspan(cipher_block);
        const auto size = std::min(cipher_block - skip, out_.size());
        std::memcpy(out_.data(), plain.data() + skip, size);
        advance(size);
      } else {
        decrypt(stored.first(whole), out_.first(whole));
        stored = stored.subspan(whole);
        advance(whole);
      }
    }
  }

 private:
  void follow(ByteView stored) {
    std::ranges::copy(stored.last(cipher_block), before_.begin());
    first_ = false;
  }
  void decrypt(ByteView stored, MutableByteView out) {
    key_.decrypt_part(first_ ? ByteView() : before_, stored, out);
    follow(stored);
  }
  void advance(std::size_t size) {
    from_ += size;
    out_ = out_.subspan(size);
  }

  const LibraryKey& key_;
  std::size_t from_, end_, lead_ = 0;
  MutableByteView out_;
  std::array<std::uint8_t, cipher_block> before_ = {};
  bool first_ = true;  // in the block: nothing is before
};

}  // namespace

struct FileReader::Impl : std::enable_shared_from_this<Impl> {
  // What the first read finds out.
  struct Content {
    std::shared_ptr<const File> file;
    Depot::SharedLayout layout;
  };

  // Where the reader is, and how far ahead of it blocks have been asked for.
  struct Pace {
    std::uint64_t end = 0;    // of the furthest read of this run
    std::uint64_t begin = 0;  // of the run
    std::size_t window = 0;   // blocks ahead
    std::size_t block = 0;    // the furthest that was read
    std::size_t asked = 0;    // up to here, exclusive
  };

  Impl(Depot& its_depot, const LibraryId& its_library, std::shared_ptr<const LibraryKey> its_key,
       const ObjectId& file, std::uint64_t size)
      : depot(its_depot),
        library(its_library),
        key(std::move(its_key)),
        id(file),
        file_size(size),
        ready(depot.workers(), file_size) {}

  Content open();
  bool make_ready(std::uint64_t offset, MutableByteView out) noexcept;
  Layout::Place locate(const Content& content, std::uint64_t offset);
  std::size_t read_block(const Content& content, const Layout::Place& place, std::uint64_t offset,
                         MutableByteView out);
  bool take_part(const Content& content, const Layout::Place& place, std::uint64_t offset,
                 MutableByteView out);
  bool see_here(const Content& content, std::size_t block);
  void see(const Content& content, std::size_t block, ByteView stored);
  bool read_cached(const ObjectId& block, std::size_t from, MutableByteView out);
  void read_ahead(const Content& content, std::size_t block, std::uint64_t offset,
                  std::size_t size);

  std::shared_ptr<const Bytes> fetch(const ObjectId& block) {
    return depot.block(library, block, kind());
  }
  [[nodiscard]] BlockCache::Kind kind() const {
    return key ? BlockCache::Kind::ciphertext : BlockCache::Kind::plain;
  }

  Depot& depot;
  const LibraryId library;
  const std::shared_ptr<const LibraryKey> key;
  const ObjectId id;
  const std::uint64_t file_size;
  Guarded<Content> content;
  Guarded<Pace> pace;
  ReadyParts ready;
};

FileReader::FileReader(Depot& depot, const LibraryId& library,
                       std::shared_ptr<const LibraryKey> key, const ObjectId& file,
                       std::uint64_t size)
    : impl_(std::make_shared<Impl>(depot, library, std::move(key), file, size)) {}

FileReader::~FileReader() { impl_->ready.stop(); }

std::uint64_t FileReader::size() const noexcept { return impl_->file_size; }

std::size_t FileReader::read(std::uint64_t offset, MutableByteView out) {
  Impl& impl = *impl_;
  if (offset >= impl.file_size || out.empty()) return 0;
  out = out.first(
      static_cast<std::size_t>(std::min<std::uint64_t>(out.size(), impl.file_size - offset)));
  const auto all = out.size();
  try {
    const auto content = impl.open();
    while (!out.empty()) {
      const auto place = impl.locate(content, offset);
      impl.read_ahead(content, place.block, offset, out.size());
      auto size = impl.ready.take(offset, out);
      if (size == 0) size = impl.read_block(content, place, offset, out);
      offset += size;
      out = out.subspan(size);
    }
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) throw;
    // The next read asks again: it may have been an answer of the moment.
    impl.content.with([](auto& content) { content = {}; });
    impl.depot.forget_layout(impl.library, impl.id);
    throw Error(Errc::corrupt, "file " + impl.id.hex() + ": " + e.what());
  }
  return all;
}

FileReader::Impl::Content FileReader::Impl::open() {
  auto known = content.with([](const auto& c) { return c; });
  if (known.file) return known;
  known.file = depot.file(library, id);
  if (known.file->size != file_size) {
    throw Error(Errc::corrupt, "it has " + std::to_string(known.file->size) +
                                   " bytes where its directory says " + std::to_string(file_size) +
                                   "; have the library checked on the server");
  }
  known.layout = depot.layout(library, id, *known.file, key != nullptr);
  content.with([&](auto& c) { c = known; });
  return known;
}

// Finds the block that holds `offset` with as few requests as that takes.
Layout::Place FileReader::Impl::locate(const Content& c, std::uint64_t offset) {
  for (;;) {
    struct Next {
      std::optional<Layout::Place> place;
      std::size_t front;
      std::vector<std::size_t> wanted;  // empty: ask for sizes first
    };
    const auto next = c.layout->with([&](const Layout& layout) {
      Next n{layout.find(offset), layout.front(), {}};
      if (!n.place && layout.has_stored_sizes())
        n.wanted = layout.to_see(offset, look_ahead_to_learn);
      return n;
    });
    if (next.place) return *next.place;
    if (next.wanted.empty()) {
      if (!see_here(c, next.front)) depot.learn_block_sizes(library, id, *c.layout);
      continue;
    }
    if (see_here(c, next.wanted.front())) continue;
    patience::about_to_fetch();
    for (std::size_t i = 1; i < next.wanted.size(); ++i) {
      depot.fetch_block_soon(library, c.file->blocks[next.wanted[i]], kind());
    }
    see(c, next.wanted.front(), *fetch(c.file->blocks[next.wanted.front()]));
  }
}

// Learns a block's length without asking anybody; false where the block is not on this machine.
bool FileReader::Impl::see_here(const Content& c, std::size_t block) {
  const auto& block_id = c.file->blocks[block];
  if (const auto held = depot.held_block(library, block_id)) {
    see(c, block, *held);
    return true;
  }
  const auto stored = depot.blocks().size(library, block_id);
  if (!stored) return false;
  auto length = *stored;
  if (key) {
    if (*stored == 0 || *stored % cipher_block != 0) {
      throw Error(Errc::corrupt, "block " + block_id.hex() + " is not whole cipher blocks");
    }
    std::array<std::uint8_t, 2 * cipher_block> tail = {};
    const auto last = MutableByteView(tail).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(tail.size(), *stored)));
    if (!depot.blocks().read(library, block_id, *stored - last.size(), last)) return false;
    std::array<std::uint8_t, cipher_block> plain = {};
    key->decrypt_part(last.first(last.size() - cipher_block), last.last(cipher_block), plain);
    length -= LibraryKey::padding(plain);
  }
  c.layout->with([&](Layout& layout) { layout.see(block, *stored, length); });
  return true;
}

// Checks a whole block against what is known of the file, and learns from it.
void FileReader::Impl::see(const Content& c, std::size_t block, ByteView stored) {
  if (c.layout->with([&](const Layout& layout) { return layout.seen(block); })) return;
  auto length = stored.size();
  if (key) {
    if (stored.empty() || stored.size() % cipher_block != 0) {
      throw Error(Errc::corrupt,
                  "block " + c.file->blocks[block].hex() + " is not whole cipher blocks");
    }
    const auto body = stored.first(stored.size() - cipher_block);
    std::array<std::uint8_t, cipher_block> plain = {};
    key->decrypt_part(body.last(std::min(body.size(), cipher_block)), stored.last(cipher_block),
                      plain);
    length -= LibraryKey::padding(plain);
  }
  c.layout->with([&](Layout& layout) { layout.see(block, stored.size(), length); });
}

std::size_t FileReader::Impl::read_block(const Content& c, const Layout::Place& place,
                                         std::uint64_t offset, MutableByteView out) {
  const auto& block_id = c.file->blocks[place.block];
  const auto seen = c.layout->with([&](const Layout& l) { return l.seen(place.block); });
  auto held = depot.held_block(library, block_id);
  if (!held && !seen && !see_here(c, place.block)) {
    if (take_part(c, place, offset, out)) return out.size();
    held = fetch(block_id);
  }
  if (held) see(c, place.block, *held);

  const auto length = c.layout->with([&](const Layout& l) { return l.length(place.block); });
  if (offset - place.start >= length) {
    throw Error(Errc::internal, "file " + id.hex() + ": a block begins elsewhere; report this");
  }
  const auto from = static_cast<std::size_t>(offset - place.start);
  out = out.first(std::min(out.size(), static_cast<std::size_t>(length) - from));
  if (!held && read_cached(block_id, from, out)) return out.size();
  if (!held && take_part(c, place, offset, out)) return out.size();
  if (!held) held = fetch(block_id);

  const ByteView stored = *held;
  if (key) {
    Decryption decryption(*key, from, out);
    decryption.take(stored.subspan(decryption.begin(), decryption.size()));
  } else {
    std::memcpy(out.data(), stored.data() + from, out.size());
  }
  return out.size();
}

// A program waits no longer than it takes for what it has asked for: all of an encrypted block,
// which nobody but us has checked; the part itself of a plain one.
bool FileReader::Impl::take_part(const Content& c, const Layout::Place& place, std::uint64_t offset,
                                 MutableByteView out) {
  if (key || !patience::parts_will_do) return false;
  const auto n = c.file->blocks.size();
  const auto expected =
      n == 1 ? file_size : c.layout->with([&](const Layout& l) { return l.length(place.block); });
  if ((expected != 0 ? expected : file_size / n) < worth_a_part) return false;
  const bool hurried = pace.with([](const Pace& p) { return p.window == 0; });
  return depot.arriving_part(library, c.file->blocks[place.block],
                             {offset - place.start, expected, hurried}, out);
}

// Plaintext of a block from the cache, of which no more is read than it takes.
bool FileReader::Impl::read_cached(const ObjectId& block, std::size_t from, MutableByteView out) {
  if (!key) return depot.blocks().read(library, block, from, out);
  Decryption decryption(*key, from, out);
  return depot.blocks().read(library, block, decryption.begin(), decryption.size(),
                             [&](ByteView part) { decryption.take(part); });
}

// Fills all of `out`, if that takes nobody's answer.
bool FileReader::Impl::make_ready(std::uint64_t offset, MutableByteView out) noexcept try {
  const Hurry hurry;
  const auto c = open();
  while (!out.empty()) {
    const auto size = read_block(c, locate(c, offset), offset, out);
    offset += size;
    out = out.subspan(size);
  }
  return true;
} catch (...) {
  return false;  // whoever reads it will hear why
}

// Asks for the blocks that a sequential reader will want: one, once it has proved to be one,
// then four times as many at each new block, up to what memory holds beside the current one.
void FileReader::Impl::read_ahead(const Content& c, std::size_t block, std::uint64_t offset,
                                  std::size_t size) {
  if (patience::only_here) return;
  const auto n = c.file->blocks.size();
  const auto average = std::max<std::uint64_t>(1, file_size / n);
  const auto memory_blocks = depot.options().block_memory / (average + average / 4);
  const auto most = static_cast<std::size_t>(std::max<std::uint64_t>(2, memory_blocks)) - 1;

  std::optional<std::size_t> passed;
  bool runs = false;
  const auto [from, to] = pace.with([&](Pace& p) {
    const bool sequential = offset <= p.end + near && p.end <= offset + near && offset >= p.begin;
    if (!sequential) {
      p = {offset + size, offset, 0, block, block + 1};
      return std::pair{n, n};
    }
    p.end = std::max(p.end, offset + size);
    if (p.window == 0) {
      // A second read, and a request taken up again is none.
      if (offset == p.begin || p.end - p.begin < proof) return std::pair{n, n};
      p.window = 1;
      p.block = block;
    } else if (block > p.block) {
      p.window = std::min(most, p.window * 4);
      passed = std::exchange(p.block, block);
    }
    runs = true;
    const auto begin = std::max(p.asked, block + 1);
    const auto end = std::min(n, block + 1 + p.window);
    p.asked = std::max(begin, end);
    return std::pair{begin, end};
  });
  // What is in memory in clear is copied once, and by its reader.
  if (runs && (key || !depot.held_block(library, c.file->blocks[block])))
    ready.go_on(offset + size, [self = shared_from_this()](auto at, auto out) {
      return self->make_ready(at, out);
    });
  else
    ready.stop();
  if (passed) depot.spend_block(library, c.file->blocks[*passed]);
  for (auto i = from; i < to; ++i) depot.fetch_block_soon(library, c.file->blocks[i], kind());
}

}  // namespace nacre
