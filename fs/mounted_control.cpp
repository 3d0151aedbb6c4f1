// SPDX-License-Identifier: Apache-2.0
//
// The part of MountedFilesystem that answers commands; those on paths are in mounted_paths.cpp.
#include <algorithm>
#include <charconv>

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/waiting.hpp"
#include "fs/rescue.hpp"
#include "fs/size_text.hpp"
#include "fs/with_tree.hpp"

namespace nacre {
namespace {

// One word for what a library is doing.
const char* state_word(bool locked, bool ready, const SyncStatus& status) {
  if (!status.confirm.empty()) return "parked";
  if (!status.error.empty()) return "error";
  if (locked) return "locked";
  if (status.sending) return "sending";
  if (status.pending.names > 0) return "waiting";
  return ready ? "synced" : "idle";
}

std::chrono::seconds seconds_of(const std::string& text) {
  long seconds = 0;
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::chrono::seconds(seconds);
}

}  // namespace

ControlReply MountedFilesystem::control(ControlRequest request) try {
  const auto& words = request.words;
  const auto word = [&](std::size_t at) -> std::string {
    return at < words.size() ? words[at] : std::string();
  };
  const auto verb = word(0);
  auto waits = Waiting::at_most(patience());
  waits.stop = request.gone;
  const WaitAs asked(std::move(waits));
  if (verb == "status" && word(1) == "metrics") return {0, metrics()};
  if (verb == "status") return {0, word(1) == "json" ? status_json() : status_text()};
  if (verb == "sync") {
    auto syncs = all_syncs();
    if (word(1) == "confirm-deletes") syncs = confirm_deletions(word(3));
    if (word(1) == "accept-rollback") {
      for (auto* each : syncs) each->accept_rollback();
    }
    return sync(syncs, word(1) != "nowait", seconds_of(word(2)));
  }
  if (verb == "unlock") {
    if (!request.secret) throw Error(Errc::invalid, "unlock: no password was given");
    unlock_library(find_library(word(1)), *request.secret,
                   word(2) == "accept-new-key" ? NewKey::accepted : NewKey::refused);
    return {};
  }
  if (verb == "lock") {
    if (!word(1).empty()) {
      lock_library(find_library(word(1)));
      return {};
    }
    for (auto* library : all_libraries()) {
      if (library->keys->encrypted()) lock_library(*library);
    }
    return {};
  }
  if (verb == "attention") return {0, attention()};
  if (verb == "sleep" || verb == "wake") {
    verb == "sleep" ? sleep() : wake();
    return {};
  }
  if (verb == "library") {
    const auto account = plan_.source + "\n" + remote_->user() + "\n";
    if (word(1).empty()) return {0, "\n\n" + account};
    const auto& library = find_library(word(1));
    return {0, library.id.str() + "\n" + library.name + "\n" + account};
  }
  if (verb == "rescue") return rescue(word(1), word(2) == "json");
  if (verb == "umount") return umount(seconds_of(word(1)), request.gone);
  if (verb == "progress") return {0, progress_.text(request.caller)};
  if (auto reply = path_control(request)) return *std::move(reply);
  throw Error(Errc::invalid, verb + ": a request that this mount does not know");
} catch (const Error& error) {
  return {exit_status(error.code()), error.what()};
}

ControlReply MountedFilesystem::sync(const Syncs& syncs, bool wait,
                                     std::chrono::seconds timeout) try {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  // Bytes that are only in memory count too, and are sent from there.
  for (auto* sync : syncs) sync->send_now();
  if (!wait) return {};
  look_at_server();
  for (auto* sync : syncs) sync->wait_sent(deadline);
  return {};
} catch (const Error& error) {
  return {exit_status(error.code()), error.what()};
}

// Of the library that `path` lies in, or of all.  Those that had something to be confirmed.
MountedFilesystem::Syncs MountedFilesystem::confirm_deletions(const std::string& path) {
  auto syncs = path.empty() ? all_syncs() : Syncs{&sync_of(library_path(path).library)};
  std::erase_if(syncs, [](LibrarySync* sync) { return !sync->confirm_deletions(); });
  if (syncs.empty()) throw Error(Errc::invalid, "sync: no deletions wait to be confirmed here");
  return syncs;
}

// Sends first what can be sent.  Where the mount is in use, or nobody waits for its end any more,
// it goes on as before.
ControlReply MountedFilesystem::umount(std::chrono::seconds timeout, const std::stop_token& gone) {
  send_all(std::chrono::steady_clock::now() + timeout);
  if (gone.stop_requested()) throw Error(Errc::interrupted, "umount: interrupted");
  const auto left = unsent_text();
  flushed_ = true;
  try {
    if (unmount_) unmount_();
  } catch (...) {
    flushed_ = false;
    throw;
  }
  return {0, left};
}

ControlReply MountedFilesystem::rescue(const std::string& folder, bool json) {
  const WaitAs rescuing(Waiting::at_most(patience(), true));
  Rescue rescue(folder, tree_, mutex_, state_);
  auto elsewhere = libraries_with_changes();
  for (auto* library : all_libraries()) {
    rescue.add(*library);
    elsewhere.erase(library->id);
  }
  const auto rescued = rescue.finish();
  constexpr std::size_t most_shown = 1000;
  const auto shown = std::min(rescued.incomplete.size(), most_shown);
  const bool whole = rescued.incomplete.empty() && elsewhere.empty();
  std::string text = whole ? "complete\n" : "incomplete\n";
  if (json) {
    JsonWriter out;
    out.object().key("folder").value(folder).key("files").value(rescued.files);
    out.key("bytes").value(rescued.bytes).key("changes").value(rescued.changes);
    out.key("incomplete_files").value(rescued.incomplete.size()).key("incomplete").array();
    for (std::size_t i = 0; i < shown; ++i) {
      const auto& [path, why] = rescued.incomplete[i];
      out.object().key("path").value(path).key("why").value(why).end();
    }
    out.end().key("elsewhere").array();
    for (const auto& id : elsewhere) out.value(id.text());
    out.end().end();
    return {0, text + std::move(out).take() + "\n"};
  }
  text += std::to_string(rescued.files) + (rescued.files == 1 ? " file (" : " files (") +
          size_text(rescued.bytes) + ") written to " + folder + "\n";
  if (rescued.changes > 0)
    text += std::to_string(rescued.changes) +
            " removals, renames and the like are listed in *.changes.txt there\n";
  for (std::size_t i = 0; i < shown; ++i)
    text += "incomplete: " + rescued.incomplete[i].path + ": " + rescued.incomplete[i].why + "\n";
  if (shown < rescued.incomplete.size())
    text += "incomplete: " + std::to_string(rescued.incomplete.size() - shown) + " more\n";
  for (const auto& id : elsewhere)
    text += "library " + id.str() +
            " has unsent changes too, which this mount does not show: end the mount, and rescue "
            "from the account\n";
  return {0, text};
}

Pending MountedFilesystem::unsent() {
  Pending all;
  for (auto* sync : all_syncs()) {
    const auto [names, bytes] = sync->status().pending;
    all.names += names;
    all.bytes += bytes;
  }
  return all;
}

std::string MountedFilesystem::unsent_text() {
  const auto [names, bytes] = unsent();
  if (names == 0) return {};
  const bool one = names == 1;
  return std::to_string(names) + (one ? " change (" : " changes (") + size_text(bytes) +
         (one ? ") is not on the server yet; it is kept, and sent at the next mount"
              : ") are not on the server yet; they are kept, and sent at the next mount");
}

std::string MountedFilesystem::status_json() {
  std::string connection;
  {
    const std::lock_guard lock(follow_mutex_);
    connection = connection_error_;
  }
  JsonWriter json;
  json.object().key("mountpoint").value(plan_.mountpoint.string());
  json.key("source").value(plan_.source).key("user").value(remote_->user());
  json.key("connection_error").text_or_null(connection);
  json.key("cache_bytes").value(blocks_.used());
  json.key("cache_limit_bytes").value(plan_.cache_limit);
  json.key("pinned_bytes").value(blocks_.pinned());
  json.key("received_bytes").value(remote_->received_bytes());
  json.key("sent_bytes").value(remote_->sent_bytes());
  json.key("shielded_reads").value(shielded_.load());
  tell_pins(json);
  json.key("libraries").array();
  for (auto* library : all_libraries()) {
    const auto status = sync_of(library->id).status();
    const bool locked = library->keys->locked();
    json.object().key("id").value(library->id.text()).key("name").value(library->name);
    json.key("state").value(state_word(locked, status.head.has_value(), status));
    json.key("encrypted").value(library->keys->encrypted()).key("locked").value(locked);
    json.key("writable").value(library->writable);
    json.key("pending_names").value(status.pending.names);
    json.key("pending_bytes").value(status.pending.bytes);
    json.key("conflicts").value(status.conflicts);
    json.key("head").text_or_null(status.head ? status.head->hex() : "");
    json.key("error").text_or_null(status.error);
    json.key("confirm").text_or_null(status.confirm);
    json.key("retry_seconds").value(status.retry_in.count()).end();
  }
  json.end().end();
  return std::move(json).take() + "\n";
}

std::string MountedFilesystem::status_text() {
  std::string text = plan_.source + " on " + plan_.mountpoint.string() + ", as " + remote_->user() +
                     ", cache " + size_text(blocks_.used());
  if (blocks_.pinned() > 0) text += ", " + size_text(blocks_.pinned()) + " of it pinned";
  text += "\n";
  if (shielded_ > 0)
    text += "  shield: nothing was fetched for thumbnailers and indexers, " +
            std::to_string(shielded_) + (shielded_ == 1 ? " time\n" : " times\n");
  {
    const std::lock_guard lock(follow_mutex_);
    if (!connection_error_.empty()) text += "  server: " + connection_error_ + "\n";
  }
  for (auto* library : all_libraries()) {
    const auto status = sync_of(library->id).status();
    const bool locked = library->keys->locked();
    text += "  " + library->name + ": ";
    text += state_word(locked, status.head.has_value(), status);
    if (!library->writable) text += ", shared read only";
    if (status.pending.names > 0)
      text += ", " + std::to_string(status.pending.names) + " changes unsent (" +
              size_text(status.pending.bytes) + ")";
    if (status.conflicts > 0)
      text += ", " + std::to_string(status.conflicts) + " conflict copies made";
    if (locked) text += "; unlock it with `" + unlock_command(*library) + "`";
    text += "\n";
    if (!status.error.empty()) {
      text += "    " + status.error;
      if (status.retry_in.count() > 0)
        text += "; next try in " + std::to_string(status.retry_in.count()) + " s";
      text += "\n";
    }
    text += pins_text(library->id);
  }
  return text;
}

}  // namespace nacre
