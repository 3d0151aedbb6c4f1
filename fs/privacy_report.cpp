// SPDX-License-Identifier: Apache-2.0
#include "fs/privacy_report.hpp"

#include <algorithm>
#include <vector>

#include "base/json.hpp"
#include "fs/shown_text.hpp"

namespace nacre {
namespace {

using Kind = PathFacts::Kind;

struct Row {
  const char* key;  // of JSON
  const char* what;
  bool seen;  // by the server; what it is about on this machine: readable with the device key
  std::string how;
};

std::string ciphers(int version) {
  return version == 3 ? "AES-128-ECB, version 3, in which equal pieces of files are alike"
                      : "AES-256-CBC, version " + std::to_string(version);
}

std::vector<Row> on_the_server(const PrivacyFacts& facts) {
  if (facts.path.kind == Kind::mount)
    return {{"names", "names", true, "of all libraries; of what is in one, ask for a path in it"}};
  std::vector<Row> rows = {
      {"names", "names", true, "of files and folders, as they are"},
      {"structure", "structure", true, "which folder holds what"},
      {"sizes", "sizes", true, "of files, to the byte"},
      {"times", "times", true, "of the last change of files and folders, and executable bits"},
      {"who", "who", true, "account, device and time of each change, and when it is looked at"},
  };
  const auto unsent = facts.path.pending.names;
  if (facts.encryption == 0) {
    rows.push_back({"contents", "contents", true, "the library is not encrypted"});
  } else {
    rows.push_back({"contents", "contents", false,
                    "encrypted here (" + ciphers(facts.encryption) +
                        "); which blocks are alike shows, and changes to them are not noticed"});
    rows.push_back({"password", "password", false,
                    "never sent; but it can be tried out there: it is as good as it is long"});
  }
  if (unsent > 0)
    rows.push_back({"unsent", "unsent", false,
                    counted(unsent, "change", "changes") + " that it does not have yet"});
  return rows;
}

std::string cached_blocks(const PathFacts& path) {
  if (path.kind != Kind::file) return counted(path.parts_here, "file", "files") + " whole";
  return std::to_string(path.parts_here) + " of " + counted(path.parts, "block", "blocks");
}

std::vector<Row> on_this_machine(const PrivacyFacts& facts) {
  const bool encrypted = facts.encryption != 0;
  const bool locked = !facts.path.unlock.empty();
  const auto sealed = std::string(", sealed under the device key");
  std::vector<Row> rows = {
      {"names", "names", true, "with sizes and times in " + facts.cache_dir + "/objects" + sealed}};
  if (facts.path.kind != Kind::mount)
    rows.push_back(
        {"contents", "contents", !encrypted,
         (locked ? "what was fetched" : cached_blocks(facts.path)) + " in " + facts.cache_dir +
             "/blocks" +
             (encrypted ? ", as the server has them: the device key does not open them" : sealed)});
  rows.push_back({"unsent", "unsent", true,
                  counted(facts.path.pending.names, "change", "changes") + " in " +
                      facts.state_dir + "/state" + sealed + (encrypted ? ", contents too" : "")});
  if (encrypted)
    rows.push_back({"key", "its key", false,
                    locked ? "locked: not here"
                           : "in memory only, until it is locked or the mount ends; what programs "
                             "read is in the kernel's memory in clear"});
  rows.push_back({"device_key", "device key", false, facts.device_key_place});
  return rows;
}

std::string on_the_way(const std::string& source) {
  if (source.starts_with("dir:")) return "a folder of this machine: who can read it is its server";
  if (source.starts_with("https://")) return "TLS; addresses and amounts show";
  const auto host = source.substr(source.find("://") + 3);
  if (host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]"))
    return "in clear, but it does not leave this machine";
  return "in clear: everybody on the way sees what the server sees, and the account's token";
}

void write_rows(JsonWriter& json, const std::vector<Row>& rows, const char* verdict) {
  json.object();
  for (const auto& row : rows)
    json.key(row.key).object().key(verdict).value(row.seen).key("how").value(row.how).end();
  json.end();
}

std::string text_of(const std::vector<Row>& rows, const char* yes, const char* no) {
  std::string text;
  for (const auto& row : rows) {
    std::string what = row.what;
    what.resize(std::max<std::size_t>(what.size() + 1, 12), ' ');
    text += "  " + what + (row.seen ? yes : no) + row.how + "\n";
  }
  return text;
}

std::string kind_of(const PrivacyFacts& facts) {
  if (facts.path.kind == Kind::mount) return "all libraries of " + facts.source;
  return "in " + facts.path.library +
         (facts.encryption == 0 ? ", a library that is not encrypted, of "
                                : ", an encrypted library of ") +
         facts.source;
}

}  // namespace

std::string privacy_text(const PrivacyFacts& facts) {
  return facts.path.path + ": " + kind_of(facts) + "\nThe server sees:\n" +
         text_of(on_the_server(facts), "yes  ", "no   ") +
         "On the way: " + on_the_way(facts.source) + "\nOn this machine:\n" +
         text_of(on_this_machine(facts), "", "");
}

std::string privacy_json(const PrivacyFacts& facts) {
  JsonWriter json;
  json.object().key("path").value(facts.path.path);
  json.key("library").text_or_null(facts.path.library).key("source").value(facts.source);
  json.key("encryption").value(facts.encryption);
  json.key("locked").value(!facts.path.unlock.empty()).key("server");
  write_rows(json, on_the_server(facts), "seen");
  json.key("transport").value(on_the_way(facts.source)).key("here");
  write_rows(json, on_this_machine(facts), "device_key_opens");
  return std::move(json.end()).take() + "\n";
}

}  // namespace nacre
