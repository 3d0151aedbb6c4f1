// SPDX-License-Identifier: Apache-2.0
#include "cli/mount_status.hpp"

#include <algorithm>

#include "cli/mounts.hpp"
#include "remote/json.hpp"

namespace nacre {
namespace {

std::string text(const Json& object, std::string_view key) {
  return std::string(object.string_at(key).value_or(""));
}

std::uint64_t number(const Json& object, std::string_view key) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, object.int64_at(key).value_or(0)));
}

bool flag(const Json& object, std::string_view key) { return object.bool_at(key).value_or(false); }

std::vector<Json> list(const Json& object, std::string_view key) {
  const auto member = object.member(key);
  return member ? member->items() : std::vector<Json>();
}

}  // namespace

MountStatus read_status(const std::string& json) {
  const JsonDocument document(json, "status");
  const auto root = document.root();
  MountStatus status;
  status.mountpoint = text(root, "mountpoint");
  status.source = text(root, "source");
  status.user = text(root, "user");
  status.connection_error = text(root, "connection_error");
  status.cache_bytes = number(root, "cache_bytes");
  status.cache_limit = number(root, "cache_limit_bytes");
  status.pinned_bytes = number(root, "pinned_bytes");
  status.received_bytes = number(root, "received_bytes");
  status.sent_bytes = number(root, "sent_bytes");
  status.shielded_reads = number(root, "shielded_reads");
  for (const auto& library : list(root, "libraries"))
    status.libraries.push_back({.id = text(library, "id"),
                                .name = text(library, "name"),
                                .state = text(library, "state"),
                                .head = text(library, "head"),
                                .error = text(library, "error"),
                                .encrypted = flag(library, "encrypted"),
                                .locked = flag(library, "locked"),
                                .writable = flag(library, "writable"),
                                .pending_names = number(library, "pending_names"),
                                .pending_bytes = number(library, "pending_bytes"),
                                .conflicts = number(library, "conflicts"),
                                .retry_seconds = number(library, "retry_seconds")});
  for (const auto& pin : list(root, "pins"))
    status.pins.push_back({.library = text(pin, "library"),
                           .path = text(pin, "path"),
                           .error = text(pin, "error"),
                           .files = number(pin, "files"),
                           .bytes = number(pin, "bytes"),
                           .blocks = number(pin, "blocks"),
                           .blocks_here = number(pin, "blocks_here"),
                           .complete = flag(pin, "complete")});
  return status;
}

std::uint64_t MountStatus::pending_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& library : libraries) sum += library.pending_bytes;
  return sum;
}

std::uint64_t MountStatus::pending_names() const {
  std::uint64_t sum = 0;
  for (const auto& library : libraries) sum += library.pending_names;
  return sum;
}

MountStatus ask_status(const std::filesystem::path& mountpoint, std::chrono::seconds timeout) {
  return read_status(answer_of(mountpoint, {"status", "json"}, timeout));
}

Amount Sending::look() {
  const auto status = ask_status(mountpoint_, std::chrono::seconds(5));
  if (total_ == 0) {
    total_ = status.pending_bytes();
    sent_before_ = status.sent_bytes;
  }
  // What need not be sent, because the server has it, counts when its commit is there.
  const auto sent = status.sent_bytes - std::min(status.sent_bytes, sent_before_);
  const auto gone = total_ - std::min(total_, status.pending_bytes());
  return {std::min(total_, std::max(sent, gone)), total_};
}

}  // namespace nacre
