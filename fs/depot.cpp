// SPDX-License-Identifier: Apache-2.0
#include "fs/depot.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "base/error.hpp"
#include "base/log.hpp"
#include "base/single_flight.hpp"
#include "crypto/hash.hpp"
#include "fs/background.hpp"
#include "fs/lru.hpp"
#include "fs/patience.hpp"
#include "fs/workers.hpp"

namespace nacre {
namespace {

constexpr std::size_t pack = 1000;                  // objects asked for at once
constexpr std::uint64_t layout_blocks = 1'000'000;  // of which the layouts are remembered

constexpr std::uint64_t allocation = 16;  // what one takes beside its bytes
constexpr std::uint64_t its_place = 256;  // among the others that are known

// Those who answer the kernel need the other half.
unsigned worker_threads() { return std::clamp(std::thread::hardware_concurrency() / 2, 1U, 4U); }

using Json = std::shared_ptr<const Bytes>;
using Sizes = std::shared_ptr<const std::vector<std::uint64_t>>;

// Block sizes are kept among the objects, under a name that no object has.
ObjectId sizes_id(const ObjectId& file) { return sha1(as_bytes("block sizes of " + file.hex())); }

// What a directory or a file refers to and the server does not have is damage:
// "not found" would tell programs that the name does not exist.
template <class Ask>
auto referred(Ask ask) {
  try {
    return ask();
  } catch (const Error& error) {
    if (error.code() != Errc::not_found) throw;
    throw Error(Errc::corrupt, std::string(error.what()) + "; have the library checked there");
  }
}

// What a directory takes of memory, about.
std::uint64_t memory_of(const Directory& directory) {
  static const auto inside = std::string().capacity();
  std::uint64_t bytes = sizeof(Directory) + directory.entries.capacity() * sizeof(Dirent);
  for (const auto& entry : directory.entries) {
    for (const auto* text : {&entry.name, &entry.modifier})
      if (text->capacity() > inside) bytes += text->capacity() + allocation;
  }
  return bytes;
}

Bytes write_sizes(const std::vector<std::uint64_t>& sizes) {
  Bytes bytes;
  bytes.reserve(sizes.size() * 8);
  for (const auto size : sizes) {
    for (unsigned shift = 0; shift < 64; shift += 8) {
      bytes.push_back(static_cast<std::uint8_t>(size >> shift));
    }
  }
  return bytes;
}

std::vector<std::uint64_t> read_sizes(ByteView bytes) {
  std::vector<std::uint64_t> sizes(bytes.size() / 8);
  for (std::size_t i = 0; i < sizes.size() * 8; ++i) {
    sizes[i / 8] |= std::uint64_t{bytes[i]} << (i % 8 * 8);
  }
  return sizes;
}

}  // namespace

struct Depot::Impl {
  struct Parsed {
    std::shared_ptr<const Directory> directory;
    std::shared_ptr<const File> file;
  };

  Impl(Remote& its_remote, ObjectCache& object_cache, BlockCache& block_cache,
       const Options& options)
      : remote(its_remote),
        objects(object_cache),
        blocks(block_cache),
        parsed(options.parsed_memory),
        held(options.block_memory),
        layouts(layout_blocks),
        patience(options.patience),
        keeper(block_cache),
        arrivals(options.arrivals,
                 [this](const Fetchers::Job& job, const std::stop_token& stop) {
                   fetch_arriving(job, stop);
                 }),
        fetchers(options.fetchers, [this](const Fetchers::Job& job,
                                          const std::stop_token& stop) { fetch_ahead(job, stop); }),
        workers(worker_threads(), options.ready_memory) {}

  std::shared_ptr<const Directory> admit_directory(const ContentId& key, ByteView json) {
    auto directory = std::make_shared<const Directory>(read_directory(key.id, json));
    admit(key, {directory, nullptr}, memory_of(*directory));
    return directory;
  }

  std::shared_ptr<const File> admit_file(const ContentId& key, ByteView json) {
    auto file = std::make_shared<const File>(read_file(key.id, json));
    admit(key, {nullptr, file}, sizeof(File) + file->blocks.capacity() * sizeof(ObjectId));
    return file;
  }

  void admit(const ContentId& key, Parsed object, std::uint64_t bytes) {
    parsed.with([&](auto& lru) { return lru.put(key, std::move(object), bytes + its_place); });
  }

  // Parses an object of unknown kind, if it looks as our own writer's would.  What is wrong
  // with it is for the one to hear who asks for it.
  void admit_any(const ContentId& key, ByteView json) {
    try {
      if (as_text(json).starts_with("{\"dirents\""))
        admit_directory(key, json);
      else if (as_text(json).starts_with("{\"block_ids\""))
        admit_file(key, json);
    } catch (const Error& e) {
      log::debug(e.what());
    }
  }

  // The cache has objects as they are stored on the server, which is a fraction of their text.
  std::optional<Bytes> kept_object(const ContentId& key) {
    const auto packed = objects.get(key.library, key.id);
    if (!packed) return std::nullopt;
    try {
      return inflate(*packed);
    } catch (const Error& e) {
      log::debug(e.what());
      return std::nullopt;
    }
  }

  void keep_objects(const LibraryId& library, std::span<const FsObject> some) {
    std::deque<Bytes> packed;  // of those that did not come so
    std::vector<ObjectCache::Object> all;
    for (const auto& object : some) {
      if (object.packed.empty()) packed.push_back(deflate(object.json));
      all.push_back({object.id, object.packed.empty() ? packed.back() : object.packed});
    }
    objects.put(library, all);
  }

  Json fetch_object(const ContentId& key) {
    patience::about_to_wait();
    return object_flights.run(key, [&] {
      if (auto here = kept_object(key)) {  // landed since the caller looked
        return std::make_shared<const Bytes>(*std::move(here));
      }
      auto got = referred([&] { return remote.objects(key.library, std::span(&key.id, 1)); });
      if (got.size() != 1 || got.front().id != key.id) {
        throw Error(Errc::corrupt, key.id.hex() + ": the server sent another object");
      }
      keep_objects(key.library, got);
      return std::make_shared<const Bytes>(std::move(got.front().json));
    });
  }

  std::shared_ptr<const Bytes> held_block(const ContentId& key) {
    return held.with([&](auto& lru) { return lru.get(key); });
  }

  std::shared_ptr<const Bytes> hold_fetched(const ContentId& key) {
    auto stored = std::make_shared<const Bytes>(referred([&] {
      return remote.arriving_block(key.library, key.id, [&](ByteView so_far, auto size) {
        arrivals.came(key, so_far, size);
      });
    }));
    held.with([&](auto& lru) { return lru.put(key, stored, stored->size()); });
    return stored;
  }

  struct Fetched {
    std::shared_ptr<const Bytes> stored;
    bool ours = false;  // nobody else was at it: it is ours to keep
  };
  Fetched fetch_once(const ContentId& key) {
    Fetched fetched;
    fetched.stored = block_flights.run(key, [&] {
      if (auto here = held_block(key)) return here;  // landed since the caller looked
      fetched.ours = true;
      return hold_fetched(key);
    });
    return fetched;
  }

  // Null: it is here, or somebody else has fetched it.
  std::shared_ptr<const Bytes> fetch(const ContentId& key, const std::stop_token& stop,
                                     bool urgent) {
    auto waits = Waiting::at_most(patience, true);
    waits.urgent = urgent;
    waits.stop = stop;
    const WaitAs background(std::move(waits));
    if (held_block(key) || blocks.size(key.library, key.id)) return nullptr;
    auto fetched = fetch_once(key);
    return fetched.ours ? std::move(fetched.stored) : nullptr;
  }

  void fetch_ahead(const Fetchers::Job& job, const std::stop_token& stop) {
    try {
      if (auto fetched = fetch(job.key, stop, false))
        keeper.keep_patiently(job.key, job.kind, std::move(fetched), stop);
    } catch (const std::exception& e) {
      log::debug(e.what());  // whoever reads the block will hear it
    }
  }
  void fetch_arriving(const Fetchers::Job& job, const std::stop_token& stop) {
    if (auto fetched = fetch(job.key, stop, true))
      keeper.keep(job.key, job.kind, std::move(fetched));
  }

  Remote& remote;
  ObjectCache& objects;
  BlockCache& blocks;
  Guarded<Lru<ContentId, Parsed>> parsed;
  Guarded<Lru<ContentId, std::shared_ptr<const Bytes>>> held;  // blocks
  Guarded<Lru<ContentId, SharedLayout>> layouts;
  const std::chrono::milliseconds patience;
  Guarded<std::unordered_set<ContentId>> doubtful;  // files whose sizes in the cache may be wrong
  SingleFlight<ContentId, Json> object_flights;
  SingleFlight<ContentId, std::shared_ptr<const Bytes>> block_flights;
  SingleFlight<ContentId, Sizes> size_flights;
  Keeper keeper;  // threads, which use all of the above
  Arrivals arrivals;
  Fetchers fetchers;  // and the keeper
  Workers workers;
};

Depot::Depot(Remote& remote, ObjectCache& objects, BlockCache& blocks, const Options& options)
    : remote_(remote),
      blocks_(blocks),
      options_(options),
      impl_(std::make_unique<Impl>(remote, objects, blocks, options)) {}

Depot::~Depot() = default;

Workers& Depot::workers() noexcept { return impl_->workers; }

std::shared_ptr<const Directory> Depot::known_directory(const LibraryId& library,
                                                        const ObjectId& id) {
  if (id.is_empty()) return std::make_shared<const Directory>();
  const ContentId key{library, id};
  if (auto known = impl_->parsed.with([&](auto& lru) { return lru.get(key); }).directory) {
    return known;
  }
  const auto json = impl_->kept_object(key);
  return json ? impl_->admit_directory(key, *json) : nullptr;
}

std::shared_ptr<const File> Depot::known_file(const LibraryId& library, const ObjectId& id) {
  if (id.is_empty()) return std::make_shared<const File>();
  const ContentId key{library, id};
  if (auto known = impl_->parsed.with([&](auto& lru) { return lru.get(key); }).file) return known;
  const auto json = impl_->kept_object(key);
  return json ? impl_->admit_file(key, *json) : nullptr;
}

bool Depot::has_content(const LibraryId& library, const ObjectId& file) {
  const auto known = known_file(library, file);
  return known && std::ranges::all_of(known->blocks, [&](const ObjectId& block) {
           return blocks_.size(library, block) || impl_->held_block({library, block});
         });
}

bool Depot::has_object(const LibraryId& library, const ObjectId& id) {
  const ContentId key{library, id};
  return id.is_empty() || impl_->parsed.with([&](auto& lru) { return lru.contains(key); }) ||
         impl_->objects.contains(library, id);
}

std::shared_ptr<const Directory> Depot::directory(const LibraryId& library, const ObjectId& id) {
  if (auto known = known_directory(library, id)) return known;
  const ContentId key{library, id};
  const auto json = impl_->fetch_object(key);
  // Others who waited for the same may have parsed it.
  auto known = impl_->parsed.with([&](auto& lru) { return lru.get(key); }).directory;
  return known ? known : impl_->admit_directory(key, *json);
}

std::shared_ptr<const File> Depot::file(const LibraryId& library, const ObjectId& id) {
  if (auto known = known_file(library, id)) return known;
  const ContentId key{library, id};
  const auto json = impl_->fetch_object(key);
  auto known = impl_->parsed.with([&](auto& lru) { return lru.get(key); }).file;
  return known ? known : impl_->admit_file(key, *json);
}

// Kept among the objects: no object has a commit's id.
Commit Depot::commit(const LibraryId& library, const ObjectId& id) {
  if (const auto kept = impl_->kept_object({library, id})) return read_commit(id, *kept);
  patience::about_to_wait();
  auto commit = remote_.commit(library, id);
  impl_->objects.put(library, id, deflate(write_commit(commit)));
  return commit;
}

void Depot::fetch_objects(const LibraryId& library, std::span<const ObjectId> ids) {
  using Ticket = SingleFlight<ContentId, Json>::Ticket;
  std::vector<ObjectId> unknown;
  for (const auto& id : ids) {
    if (id.is_empty()) continue;
    const ContentId key{library, id};
    const auto known = impl_->parsed.with([&](auto& lru) { return lru.get(key); });
    if (known.directory || known.file) continue;
    if (const auto json = impl_->kept_object(key))
      impl_->admit_any(key, *json);
    else
      unknown.push_back(id);
  }
  if (!unknown.empty()) patience::about_to_wait();

  for (std::size_t from = 0; from < unknown.size(); from += pack) {
    std::unordered_map<ObjectId, Ticket> tickets;  // for what nobody is fetching already
    std::vector<ObjectId> wanted;
    for (auto i = from; i < std::min(unknown.size(), from + pack); ++i) {
      if (auto ticket = impl_->object_flights.begin({library, unknown[i]})) {
        tickets.emplace(unknown[i], *std::move(ticket));
        wanted.push_back(unknown[i]);
      }
    }
    if (wanted.empty()) continue;
    auto got = referred([&] { return impl_->remote.objects(library, wanted); });
    impl_->keep_objects(library, got);
    for (auto& object : got) {
      const auto ticket = tickets.find(object.id);
      if (ticket == tickets.end()) continue;
      const auto json = std::make_shared<const Bytes>(std::move(object.json));
      impl_->admit_any({library, object.id}, *json);
      ticket->second.land(json);
    }
  }
}

void Depot::keep_objects(const LibraryId& library, std::span<const FsObject> objects) {
  impl_->keep_objects(library, objects);
}

void Depot::remember(const LibraryId& library, const FsObject& object) {
  if (object.id.is_empty()) return;
  impl_->keep_objects(library, {&object, 1});
  impl_->admit_any({library, object.id}, object.json);
}

void Depot::remember_block(const LibraryId& library, const ObjectId& id, ByteView stored,
                           BlockCache::Kind kind) {
  blocks_.put(library, id, stored, kind);
}

std::shared_ptr<const Bytes> Depot::held_block(const LibraryId& library, const ObjectId& id) {
  return impl_->held_block({library, id});
}

std::shared_ptr<const Bytes> Depot::block(const LibraryId& library, const ObjectId& id,
                                          BlockCache::Kind kind) {
  const ContentId key{library, id};
  if (auto here = impl_->held_block(key)) return here;
  patience::about_to_wait();
  auto [stored, ours] = impl_->fetch_once(key);
  if (ours) impl_->keeper.keep(key, kind, stored);
  return stored;
}

bool Depot::arriving_part(const LibraryId& library, const ObjectId& id, const Arrivals::Part& part,
                          MutableByteView out) {
  patience::about_to_wait();
  return impl_->arrivals.take({{library, id}, BlockCache::Kind::plain}, part, out);
}

bool Depot::spoiled(const LibraryId& library, const ObjectId& file) {
  if (!impl_->arrivals.any_spoiled()) return false;
  const auto known = known_file(library, file);
  return known && std::ranges::any_of(known->blocks, [&](const ObjectId& block) {
           return impl_->arrivals.spoiled({library, block});
         });
}

void Depot::spend_block(const LibraryId& library, const ObjectId& id) {
  impl_->held.with([&](auto& lru) { lru.demote({library, id}); });
}

void Depot::fetch_block_soon(const LibraryId& library, const ObjectId& id, BlockCache::Kind kind) {
  impl_->fetchers.ask({{library, id}, kind});
}

std::uint64_t Depot::evict_blocks(const LibraryId& library, std::span<const ObjectId> ids) {
  for (const auto& id : ids) impl_->held.with([&](auto& lru) { return lru.drop({library, id}); });
  return blocks_.evict(library, ids);
}

void Depot::fetch_block_now(const LibraryId& library, const ObjectId& id, BlockCache::Kind kind,
                            const std::stop_token& stop) {
  impl_->fetch_ahead({{library, id}, kind}, stop);
}

Depot::SharedLayout Depot::layout(const LibraryId& library, const ObjectId& file,
                                  const File& content, bool encrypted) {
  const ContentId key{library, file};
  if (auto known = impl_->layouts.with([&](auto& lru) { return lru.get(key); })) return known;
  auto fresh = std::make_shared<Guarded<Layout>>(content.blocks.size(), content.size, encrypted);
  impl_->layouts.with([&](auto& lru) { return lru.put(key, fresh, content.blocks.size() + 1); });
  return fresh;
}

void Depot::learn_block_sizes(const LibraryId& library, const ObjectId& file,
                              Guarded<Layout>& layout) {
  const auto tell = [&](const std::vector<std::uint64_t>& sizes) {
    layout.with([&](Layout& l) { l.set_stored_sizes(sizes); });
  };
  const auto name = sizes_id(file);
  const bool doubtful = impl_->doubtful.with([&](auto& all) {
    return all.contains({library, file});
  });
  if (const auto kept = doubtful ? std::nullopt : impl_->objects.get(library, name)) {
    tell(read_sizes(*kept));
    return;
  }
  patience::about_to_wait();
  const auto sizes = impl_->size_flights.run({library, file}, [&] {
    return std::make_shared<const std::vector<std::uint64_t>>(
        referred([&] { return impl_->remote.block_sizes(library, file); }));
  });
  tell(*sizes);
  impl_->objects.put(library, name, write_sizes(*sizes));
}

void Depot::forget_layout(const LibraryId& library, const ObjectId& file) {
  impl_->layouts.with([&](auto& lru) { return lru.drop({library, file}); });
  impl_->doubtful.with([&](auto& all) { all.insert({library, file}); });
}

}  // namespace nacre
