// SPDX-License-Identifier: Apache-2.0
#include "fs/path_report.hpp"

#include "base/json.hpp"
#include "fs/shown_text.hpp"
#include "fs/size_text.hpp"

namespace nacre {
namespace {

using Kind = PathFacts::Kind;
using Wait = PathFacts::Wait;

std::string duration_text(std::chrono::seconds time) {
  const auto seconds = time.count();
  if (seconds < 120) return std::to_string(seconds) + " s";
  if (seconds < 2 * 3600) return std::to_string(seconds / 60) + " min";
  if (seconds < 2 * 86400) return std::to_string(seconds / 3600) + " h";
  return std::to_string(seconds / 86400) + " days";
}

const char* wait_word(Wait wait) {
  switch (wait) {
    case Wait::none: return "none";
    case Wait::locked: return "locked";
    case Wait::unconfirmed: return "confirmation";
    case Wait::failed: return "error";
    case Wait::sending: return "sending";
    case Wait::away: return "away";
    case Wait::open: return "open";
    case Wait::quiet: return "quiet";
    case Wait::soon: return "soon";
  }
  return "";
}

const char* kind_word(Kind kind) {
  switch (kind) {
    case Kind::file: return "file";
    case Kind::folder: return "folder";
    case Kind::library: return "library";
    case Kind::mount: return "mount";
  }
  return "";
}

// What it waits for, and what to do.
std::string reason(const PathFacts& facts) {
  const auto next = facts.next.count() > 0 ? duration_text(facts.next) : std::string();
  switch (facts.wait) {
    case Wait::locked: return "the library is locked; unlock it with `" + facts.unlock + "`";
    case Wait::unconfirmed: return facts.error;
    case Wait::failed: return facts.error + (next.empty() ? "" : "; next try in " + next);
    case Wait::sending: return "it is being sent now";
    case Wait::away:
      return "the server does not answer (" + facts.error +
             "); it is sent when the server is back" +
             (next.empty() ? "" : ", next try in " + next);
    case Wait::open:
      return "it is open for writing; it is sent once it is closed" +
             (next.empty() ? "" : ", in " + next + " in any case");
    case Wait::quiet:
      return "the library was changed just now; it is sent in " +
             (next.empty() ? "a moment" : next) + ", or at once with `nacre sync`";
    default: return "it is sent in a moment";
  }
}

std::string unsent_text(const PathFacts& facts) {
  std::string text = facts.removed ? "removed here, and that is " : "";
  if (facts.wait == Wait::sending) {
    text += "being sent";
  } else {
    text += "waiting to be sent ";
    text += facts.since ? "for " + duration_text(*facts.since) : "since before it was mounted";
  }
  if (facts.kind != Kind::file || facts.pending.bytes > 0) {
    text += " (" + counted(facts.pending.names, "change", "changes");
    if (facts.pending.bytes > 0) text += ", " + size_text(facts.pending.bytes);
    text += ")";
  }
  return facts.wait == Wait::sending ? text : text + ": " + reason(facts);
}

std::string cached_text(const PathFacts& facts) {
  const bool file = facts.kind == Kind::file;
  if (file && !facts.blocks_known) return "not cached";
  std::string text;
  if (file && facts.parts == 0) {
    text = "empty";
  } else if (facts.parts_here == facts.parts && facts.folders_not_known == 0 && facts.counted_all) {
    text = file ? "cached whole" : "cached whole, " + counted(facts.parts, "file", "files");
  } else if (file && facts.parts_here == 0) {
    text = "not cached";
  } else {
    text =
        std::to_string(facts.parts_here) + " of " +
        (file ? counted(facts.parts, "block", "blocks")
              : (facts.counted_all ? "" : "the first ") + counted(facts.parts, "file", "files")) +
        " cached";
  }
  if (facts.folders_not_known > 0)
    text += ", " + counted(facts.folders_not_known, "folder", "folders") + " not looked at yet";
  return text;
}

}  // namespace

const char* state_of(const PathFacts& facts) {
  if (facts.removed) return "removed";
  if (facts.wait == Wait::sending) return "sending";
  if (facts.pending.names > 0) return "unsent";
  return facts.unlock.empty() ? "synced" : "locked";
}

std::string why_text(const PathFacts& facts) {
  std::string text = facts.path + ": ";
  if (facts.pending.names > 0 || facts.removed) {
    text += unsent_text(facts);
  } else if (!facts.unlock.empty()) {
    text += "locked; unlock it with `" + facts.unlock + "`";
  } else {
    text += "synced; " + cached_text(facts);
    if (!facts.error.empty()) text += "; but newer changes cannot be fetched: " + facts.error;
  }
  if (facts.shared_read_only) text += "; shared with you for reading only";
  if (!facts.pin.empty()) text += "; pinned by " + facts.pin;
  return text + "\n";
}

std::string why_json(const PathFacts& facts) {
  JsonWriter json;
  json.object().key("path").value(facts.path).key("kind").value(kind_word(facts.kind));
  json.key("library").text_or_null(facts.library);
  json.key("state").value(state_of(facts));
  json.key("id").text_or_null(facts.id.value_or(""));
  json.key("writable").value(!facts.shared_read_only);
  json.key("pending_names").value(facts.pending.names);
  json.key("pending_bytes").value(facts.pending.bytes);
  json.key("unsent_seconds");
  facts.since ? json.value(facts.since->count()) : json.null();
  json.key("waits_for").value(wait_word(facts.wait));
  json.key("reason").text_or_null(facts.wait == Wait::none ? facts.error : reason(facts));
  json.key("next_seconds");
  facts.next.count() > 0 ? json.value(facts.next.count()) : json.null();
  json.key(facts.kind == Kind::file ? "blocks" : "files").value(facts.parts);
  json.key(facts.kind == Kind::file ? "blocks_cached" : "files_cached").value(facts.parts_here);
  json.key("complete")
      .value(facts.blocks_known && facts.counted_all && facts.folders_not_known == 0 &&
             facts.parts == facts.parts_here);
  json.key("pinned_by").text_or_null(facts.pin);
  return std::move(json.end()).take() + "\n";
}

}  // namespace nacre
