// SPDX-License-Identifier: Apache-2.0
#include "fs/uploader.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/buffer.hpp"
#include "base/error.hpp"
#include "crypto/chunker.hpp"
#include "crypto/hash.hpp"

namespace nacre {
namespace {

constexpr std::size_t piece = std::size_t{1} << 20U;          // read from the source at once
constexpr std::size_t hash_inline = std::size_t{256} << 10U;  // up to here a hand-over costs more
constexpr std::size_t most_asked = 1000;                      // ids in one question
constexpr std::uint64_t most_asked_bytes = std::uint64_t{32} << 20U;
constexpr unsigned hashers = 2;
constexpr unsigned senders = 14;  // as many as the connection lets go: small files go one a request

}  // namespace

// One chunk goes: add() -> to_hash -> to_ask -> to_send -> settled.  Its bytes
// are charged from the first to the last, and add() waits for room.
struct Uploader::Impl {
  // The blocks of the file that is being added; hashing fills it in.
  struct Cut {
    std::vector<ObjectId> ids;
    std::vector<std::uint64_t> lengths;
    std::size_t unhashed = 0;
  };
  struct Chunk {
    Buffer plain;
    std::size_t index;
    std::shared_ptr<Cut> cut;
  };
  struct Block {
    ObjectId id;
    Buffer stored;
    bool missing = false;
  };
  struct Failure {
    Errc code;
    std::string why;
  };

  Impl(Depot& depot, const LibraryId& library, std::shared_ptr<const LibraryKey> key,
       std::uint64_t limit);

  Block make_block(Buffer plain) const;
  void add_chunk(const std::shared_ptr<Cut>& cut, Buffer plain, bool last);
  void make_room(std::unique_lock<std::mutex>& lock, std::uint64_t bytes);
  void hashed(Cut& cut, std::size_t index, std::uint64_t length, Block block);
  void settle(std::size_t blocks, std::uint64_t bytes);
  void rethrow() const;

  void hash_all(const std::stop_token& stop);
  void ask_all(const std::stop_token& stop);
  void send_all(const std::stop_token& stop);
  [[nodiscard]] bool time_to_ask() const;
  std::vector<Block> ask(std::vector<Block> batch);
  template <class Work>
  void run(std::unique_lock<std::mutex>& lock, Work&& work);

  [[nodiscard]] std::uint64_t stored_size(std::size_t plain) const {
    return key ? LibraryKey::stored_size(plain) : plain;
  }

  Depot& depot;
  const LibraryId library;
  const std::shared_ptr<const LibraryKey> key;
  const std::uint64_t limit;
  std::atomic<std::uint64_t> sent = 0;

  std::mutex mutex;  // guards what follows
  std::condition_variable_any hash_ready, ask_ready, send_ready, changed;
  std::deque<Chunk> to_hash;
  std::vector<Block> to_ask;
  std::deque<Block> to_send;
  std::unordered_set<ObjectId> met;  // every block of this batch, to take each once
  std::uint64_t charged = 0, to_ask_bytes = 0;
  std::size_t unsettled = 0;  // chunks and blocks on their way
  bool flush = false;         // somebody waits: ask, however few there are
  std::optional<Failure> failure;

  std::vector<std::jthread> threads;
};

Uploader::Impl::Impl(Depot& its_depot, const LibraryId& its_library,
                     std::shared_ptr<const LibraryKey> its_key, std::uint64_t its_limit)
    : depot(its_depot), library(its_library), key(std::move(its_key)), limit(its_limit) {
  const auto start = [this](unsigned count, void (Impl::*work)(const std::stop_token&)) {
    for (unsigned i = 0; i < count; ++i) {
      threads.emplace_back([this, work](const std::stop_token& stop) { (this->*work)(stop); });
    }
  };
  start(hashers, &Impl::hash_all);
  start(1, &Impl::ask_all);
  start(senders, &Impl::send_all);
}

void Uploader::Impl::rethrow() const {
  if (failure) throw Error(failure->code, failure->why);
}

// Encrypted where it is: the chunk's buffer has room for the padding.
Uploader::Impl::Block Uploader::Impl::make_block(Buffer plain) const {
  Block block;
  if (key) {
    const auto stored = plain.room().first(stored_size(plain.size()));
    key->encrypt(plain.bytes(), stored);
    plain.use(stored.size());
  }
  block.id = sha1(plain.bytes());
  block.stored = std::move(plain);
  return block;
}

void Uploader::Impl::add_chunk(const std::shared_ptr<Cut>& cut, Buffer plain, bool last) {
  const auto length = plain.size();
  const auto index = cut->ids.size();
  if (length <= hash_inline || last) {  // add() would only wait for it
    auto block = make_block(std::move(plain));
    std::unique_lock lock(mutex);
    make_room(lock, block.stored.size());
    cut->ids.emplace_back();
    cut->lengths.push_back(length);
    ++unsettled;
    hashed(*cut, index, length, std::move(block));
    return;
  }
  std::unique_lock lock(mutex);
  make_room(lock, stored_size(length));
  cut->ids.emplace_back();
  cut->lengths.push_back(length);
  ++cut->unhashed;
  ++unsettled;
  to_hash.push_back({std::move(plain), index, cut});
  hash_ready.notify_one();
}

// Waits until `bytes` more fit, or nothing else is on its way; charges them.
void Uploader::Impl::make_room(std::unique_lock<std::mutex>& lock, std::uint64_t bytes) {
  const auto fits = [&] { return failure || charged == 0 || charged + bytes <= limit; };
  if (!fits()) {
    flush = true;  // what waits to be asked for holds the room
    ask_ready.notify_one();
    changed.wait(lock, fits);
    flush = false;
  }
  rethrow();
  charged += bytes;
}

// With the lock held: `block` is the chunk `index` of `cut`.
void Uploader::Impl::hashed(Cut& cut, std::size_t index, std::uint64_t length, Block block) {
  cut.ids[index] = block.id;
  cut.lengths[index] = length;
  if (failure || !met.insert(block.id).second) {
    settle(1, block.stored.size());
    return;
  }
  to_ask_bytes += block.stored.size();
  to_ask.push_back(std::move(block));
  if (time_to_ask()) ask_ready.notify_one();
}

// With the lock held: so many are done, or given up.
void Uploader::Impl::settle(std::size_t blocks, std::uint64_t bytes) {
  unsettled -= blocks;
  charged -= bytes;
  changed.notify_all();
}

// Runs `work` without the lock.  This is the boundary of our threads: the first
// failure is kept, as words, for whoever calls add() or finish() next.
template <class Work>
void Uploader::Impl::run(std::unique_lock<std::mutex>& lock, Work&& work) {
  std::optional<Failure> bad;
  lock.unlock();
  try {
    work();
  } catch (const Error& e) {
    bad = {e.code(), e.what()};
  } catch (const std::exception& e) {
    bad = {Errc::internal, std::string("sending a block: ") + e.what() + "; try again"};
  }
  lock.lock();
  if (bad && !failure) failure = std::move(bad);
}

void Uploader::Impl::hash_all(const std::stop_token& stop) {
  std::unique_lock lock(mutex);
  while (hash_ready.wait(lock, stop, [this] { return !to_hash.empty(); })) {
    if (stop.stop_requested()) return;
    Chunk chunk = std::move(to_hash.front());
    to_hash.pop_front();
    const auto length = chunk.plain.size();
    Block block;
    if (!failure) run(lock, [&] { block = make_block(std::move(chunk.plain)); });
    --chunk.cut->unhashed;
    if (failure) {
      settle(1, stored_size(length));
      continue;
    }
    hashed(*chunk.cut, chunk.index, length, std::move(block));
    changed.notify_all();
  }
}

bool Uploader::Impl::time_to_ask() const {
  return !to_ask.empty() && (flush || failure || to_ask.size() >= most_asked ||
                             to_ask_bytes >= std::min(most_asked_bytes, limit / 4));
}

void Uploader::Impl::ask_all(const std::stop_token& stop) {
  std::unique_lock lock(mutex);
  while (ask_ready.wait(lock, stop, [this] { return time_to_ask(); })) {
    if (stop.stop_requested()) return;
    std::vector<Block> batch;
    if (to_ask.size() <= most_asked) {
      batch = std::exchange(to_ask, {});
    } else {
      const auto end = to_ask.begin() + most_asked;
      batch.assign(std::make_move_iterator(to_ask.begin()), std::make_move_iterator(end));
      to_ask.erase(to_ask.begin(), end);
    }
    std::uint64_t bytes = 0;
    for (const auto& block : batch) bytes += block.stored.size();
    to_ask_bytes -= bytes;
    if (!failure) {
      run(lock, [&] {
        std::vector<ObjectId> ids;
        ids.reserve(batch.size());
        for (const auto& block : batch) ids.push_back(block.id);
        const auto lacks = depot.remote().missing_blocks(library, ids);
        const std::unordered_set<ObjectId> missing(lacks.begin(), lacks.end());
        for (auto& block : batch) block.missing = missing.contains(block.id);
      });
    }
    if (failure) {
      settle(batch.size(), bytes);
      continue;
    }
    std::move(batch.begin(), batch.end(), std::back_inserter(to_send));
    send_ready.notify_all();
  }
}

void Uploader::Impl::send_all(const std::stop_token& stop) {
  std::unique_lock lock(mutex);
  while (send_ready.wait(lock, stop, [this] { return !to_send.empty(); })) {
    if (stop.stop_requested()) return;
    Block block = std::move(to_send.front());
    to_send.pop_front();
    const auto size = block.stored.size();
    if (!failure) {
      run(lock, [&] {
        if (block.missing) {
          depot.remote().put_block(library, block.id, block.stored.bytes());
          sent += block.stored.size();
        }
        depot.remember_block(library, block.id, block.stored.bytes(),
                             key ? BlockCache::Kind::ciphertext : BlockCache::Kind::plain);
        block.stored = {};
      });
    }
    if (failure) ask_ready.notify_one();  // to give up what waits there
    settle(1, size);
  }
}

Uploader::Uploader(Depot& depot, const LibraryId& library, std::shared_ptr<const LibraryKey> key,
                   std::uint64_t in_flight)
    : impl_(std::make_unique<Impl>(depot, library, std::move(key), in_flight)) {}

Uploader::~Uploader() {
  for (auto& thread : impl_->threads) thread.request_stop();  // all, before the first is waited for
}

FsObject Uploader::add(PlainSource& source) {
  Impl& impl = *impl_;
  const auto size = source.size();
  if (size == 0) return {};

  const ChunkLimits limits;
  Chunker chunker(limits);
  const auto cut = std::make_shared<Impl::Cut>();
  const auto buffer_for = [&](std::uint64_t left) {
    const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(left, limits.max + piece));
    return Buffer(LibraryKey::stored_size(most));
  };
  auto chunk = buffer_for(size);
  std::size_t fed = 0;  // of `chunk`
  for (std::uint64_t offset = 0; offset < size;) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(piece, size - offset));
    source.read(offset, chunk.room().subspan(chunk.size(), want));
    chunk.use(chunk.size() + want);
    offset += want;
    while (fed < chunk.size()) {
      const auto step = chunker.feed(chunk.bytes().subspan(fed));
      fed += step.taken;
      if (!step.border) continue;
      const auto behind = chunk.bytes().subspan(fed);
      auto rest = buffer_for(behind.size() + (size - offset));
      std::ranges::copy(behind, rest.room().begin());
      rest.use(behind.size());
      chunk.use(fed);
      impl.add_chunk(cut, std::exchange(chunk, std::move(rest)), false);
      fed = 0;
    }
  }
  if (chunk.size() != 0) impl.add_chunk(cut, std::move(chunk), true);

  {
    std::unique_lock lock(impl.mutex);
    impl.changed.wait(lock, [&] { return impl.failure || cut->unhashed == 0; });
    impl.rethrow();
  }
  File file{size, cut->ids};
  FsObject object{{}, write_file(file)};
  object.id = sha1(object.json);
  if (file.blocks.size() > 1) {  // whoever reads it here need not find out where it was cut
    const auto layout = impl.depot.layout(impl.library, object.id, file, impl.key != nullptr);
    layout->with([&](Layout& l) {
      for (std::size_t i = 0; i < cut->lengths.size(); ++i) l.set_length(i, cut->lengths[i]);
    });
  }
  return object;
}

void Uploader::finish() {
  Impl& impl = *impl_;
  std::unique_lock lock(impl.mutex);
  impl.flush = true;
  impl.ask_ready.notify_one();
  impl.changed.wait(lock, [&] { return impl.failure || impl.unsettled == 0; });
  impl.flush = false;
  impl.rethrow();
}

std::uint64_t Uploader::bytes_sent() const noexcept { return impl_->sent; }

}  // namespace nacre
