// SPDX-License-Identifier: Apache-2.0
//
// What a mount can be expected to do here: this machine's ciphers and disk, and a server's answers.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <iomanip>
#include <iterator>
#include <mutex>
#include <optional>
#include <ostream>
#include <sstream>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/json.hpp"
#include "cli/accounts.hpp"
#include "cli/bench_machine.hpp"
#include "cli/blocked_signals.hpp"
#include "cli/commands.hpp"
#include "cli/confirm.hpp"
#include "cli/folders.hpp"
#include "cli/progress.hpp"
#include "crypto/hash.hpp"
#include "crypto/random.hpp"

namespace nacre {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t block_size = std::size_t{8} << 20U;  // as files are cut
constexpr std::uint64_t most_bytes = std::uint64_t{128} << 20U;
constexpr std::chrono::seconds most_time{10};
constexpr unsigned at_once = 8;

void check(const BlockedSignals& interrupts) {
  if (interrupts.within(0) != 0) throw Error(Errc::interrupted, "bench: interrupted");
}

// Has `at_once` threads do `work(n)` for n = 0, 1, ..., which gives the bytes that it moved, or
// nothing when there is no more; bytes a second.
template <class Work>
std::optional<double> rate_of(const BlockedSignals& interrupts, Work work) {
  std::atomic<std::uint64_t> next = 0, bytes = 0;
  std::atomic<bool> stop = false;
  std::mutex mutex;
  std::optional<Error> failed;
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < at_once; ++i)
      threads.emplace_back([&] {
        try {
          while (!stop && bytes < most_bytes && Clock::now() < begin + most_time) {
            check(interrupts);
            const auto moved = work(next++);
            if (!moved) return;
            bytes += *moved;
          }
        } catch (const Error& error) {
          const std::lock_guard lock(mutex);
          if (!failed) failed = error;
          stop = true;
        }
      });
  }
  const auto seconds = seconds_since(begin);
  if (failed) throw Error(*failed);
  if (bytes == 0) return std::nullopt;
  return static_cast<double>(bytes) / seconds;
}

double round_trip(Remote& remote, const BlockedSignals& interrupts) {
  const auto libraries = remote.libraries();
  std::vector<LibraryId> ids;
  if (!libraries.empty()) ids.push_back(libraries.front().id);
  std::vector<double> times;
  for (int i = 0; i < 11; ++i) {
    check(interrupts);
    const auto begin = Clock::now();
    if (ids.empty())
      remote.libraries();
    else
      remote.heads(ids);
    times.push_back(seconds_since(begin));
  }
  std::ranges::nth_element(times, times.begin() + 5);
  return times[5];
}

// Blocks of files that are there, as many as are needed.
std::vector<ObjectId> some_blocks(Remote& remote, const LibraryId& library,
                                  const BlockedSignals& interrupts) {
  constexpr std::size_t most_blocks = 2000, most_looks = 200;
  std::vector<ObjectId> blocks, folders = {remote.commit(library, remote.head(library)).root};
  for (std::size_t look = 0; look < std::min(folders.size(), most_looks); ++look) {
    check(interrupts);
    if (blocks.size() >= most_blocks || folders[look].is_empty()) continue;
    const auto id = folders[look];
    std::vector<ObjectId> files;
    for (const auto& object : remote.objects(library, std::span(&id, 1)))
      for (const auto& entry : read_directory(object.id, object.json).entries) {
        if (entry.id.is_empty()) continue;
        (entry.is_directory() ? folders : files).push_back(entry.id);
      }
    files.resize(std::min<std::size_t>(files.size(), 500));
    if (files.empty()) continue;
    for (const auto& object : remote.objects(library, files))
      std::ranges::copy(read_file(object.id, object.json).blocks, std::back_inserter(blocks));
  }
  std::ranges::sort(blocks);
  blocks.erase(std::ranges::unique(blocks).begin(), blocks.end());
  return blocks;
}

std::optional<double> download(Remote& remote, const std::string& name,
                               const BlockedSignals& interrupts) {
  const auto library = choose_library(remote, name).id;
  const auto blocks = some_blocks(remote, library, interrupts);
  const auto rate = rate_of(interrupts, [&](std::uint64_t n) -> std::optional<std::uint64_t> {
    if (n >= blocks.size()) return std::nullopt;
    return remote.block(library, blocks[n]).size();
  });
  if (!rate) throw Error(Errc::not_found, name + ": holds nothing to fetch; name another library");
  return rate;
}

// A library that is there for the measurement only, and goes with it.
class Scratch {
 public:
  Scratch(Remote& remote, const std::string& name)
      : remote_(remote),
        id_(remote.create_library({.id = random_library_id(), .name = name, .encryption = {}}).id) {
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    try {
      if (!removed_) remote_.delete_library(id_);
    } catch (const Error&) {  // what it was interrupted by is told
    }
  }
  void remove() {
    removed_ = true;
    remote_.delete_library(id_);
  }
  [[nodiscard]] const LibraryId& id() const noexcept { return id_; }

 private:
  Remote& remote_;
  LibraryId id_;
  bool removed_ = false;
};

std::optional<double> upload(Remote& remote, const BenchOptions& options, const Io& io,
                             const BlockedSignals& interrupts) {
  for (const auto& library : remote.libraries())
    if (library.name == options.upload)
      throw Error(Errc::exists, options.upload +
                                    ": is there already; name a library that is made for this, "
                                    "and deleted again");
  if (!options.yes &&
      !confirmed(io,
                 "A library " + options.upload +
                     " is made, up to 128 MiB are sent into it, and it is deleted.\n"
                     "Type yes to go on:",
                 "yes", "bench: nobody to ask; say --yes to send"))
    return std::nullopt;
  const ShowWhile shown(io.err, {.what = "bench"});
  Scratch scratch(remote, options.upload);
  const auto rate = rate_of(interrupts, [&](std::uint64_t) -> std::optional<std::uint64_t> {
    Bytes block(block_size);
    fill_random(block);
    remote.put_block(scratch.id(), sha1(block), block);
    return block.size();
  });
  scratch.remove();
  return rate;
}

struct Figures {
  std::vector<Speed> machine;
  std::optional<double> round_trip;  // seconds
  std::optional<double> download, upload;
  std::string server_error;
};

std::string shown(double rate) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(rate < 10e6 ? 1 : 0) << rate / 1e6 << " MB/s";
  return text.str();
}

std::string milliseconds(double seconds) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << seconds * 1000 << " ms";
  return text.str();
}

double speed_of(const Figures& figures, std::string_view key) {
  const auto found = std::ranges::find(figures.machine, key, &Speed::key);
  return found == figures.machine.end() ? 0 : found->rate;
}

void tell_what_to_expect(const Figures& figures, const Io& io) {
  const auto line = [&](const std::string& text) { io.out << "  " << text << '\n'; };
  io.out << "What to expect of a mount:\n";
  line("files that are cached: read at up to " +
       shown(std::min(speed_of(figures, "disk_read"), speed_of(figures, "aes_decrypt"))) +
       " from the disk, faster from memory");
  line("what is written is safe on this machine at up to " +
       shown(std::min(speed_of(figures, "disk_write"), speed_of(figures, "seal"))));
  if (figures.round_trip)
    line("a file that is not cached begins after about " + milliseconds(2 * *figures.round_trip));
  if (figures.download)
    line("large files that are not cached: " +
         shown(std::min(*figures.download, speed_of(figures, "aes_decrypt"))));
  if (figures.upload)
    line("large files are sent at " +
         shown(std::min(*figures.upload, speed_of(figures, "aes_encrypt"))));
}

void print(const Figures& figures, const Io& io) {
  const auto row = [&](const std::string& what, const std::string& value) {
    io.out << std::left << std::setw(44) << what << std::right << std::setw(12) << value << '\n';
  };
  for (const auto& speed : figures.machine) row(speed.what, shown(speed.rate));
  if (figures.round_trip)
    row("server: round trip, the median of 11", milliseconds(*figures.round_trip));
  if (figures.download) row("server: download, 8 at once", shown(*figures.download));
  if (figures.upload) row("server: upload, 8 at once", shown(*figures.upload));
  tell_what_to_expect(figures, io);
}

std::string json_of(const Figures& figures) {
  JsonWriter json;
  json.object();
  for (const auto& speed : figures.machine)
    json.key(speed.key).value(static_cast<std::uint64_t>(speed.rate));
  const auto number = [&](const char* key, const std::optional<double>& value, double factor) {
    json.key(key);
    value ? json.value(static_cast<std::uint64_t>(*value * factor)) : json.null();
  };
  number("round_trip_microseconds", figures.round_trip, 1e6);
  number("download", figures.download, 1);
  number("upload", figures.upload, 1);
  json.key("server_error").text_or_null(figures.server_error);
  return std::move(json.end()).take();
}

void ask_the_server(const BenchOptions& options, Figures& figures, const Io& io,
                    const BlockedSignals& interrupts) {
  const bool needed =
      !options.account.empty() || !options.library.empty() || !options.upload.empty();
  if (!needed && accounts().size() != 1) return;  // of which, nobody has said
  try {
    const auto remote = open_account(choose_account(options.account), false);
    const auto measuring = shown_as(io.err, "bench");
    figures.round_trip = measuring([&] { return round_trip(*remote, interrupts); });
    if (!options.library.empty())
      figures.download = measuring([&] { return download(*remote, options.library, interrupts); });
    if (!options.upload.empty()) figures.upload = upload(*remote, options, io, interrupts);
  } catch (const Error& error) {
    if (needed) throw;
    figures.server_error = error.what();
    io.err << "nacre: " << error.what() << '\n';
  }
}

}  // namespace

Exit bench(const BenchOptions& options, const Io& io) {
  const BlockedSignals interrupts;
  Figures figures;
  const auto measuring = shown_as(io.err, "bench");
  for (auto* measure : {measure_ciphers, measure_disk}) {
    std::ranges::move(measuring([&] { return measure(cache_folder()); }),
                      std::back_inserter(figures.machine));
    check(interrupts);
  }
  ask_the_server(options, figures, io, interrupts);
  if (options.json)
    io.out << json_of(figures) << '\n';
  else
    print(figures, io);
  return Exit::ok;
}

}  // namespace nacre
