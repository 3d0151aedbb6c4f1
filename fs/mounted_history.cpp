// SPDX-License-Identifier: Apache-2.0
//
// The part of MountedFilesystem that looks back, brings back, and adds up.
#include "base/error.hpp"
#include "base/json.hpp"
#include "fs/history.hpp"
#include "fs/shown_text.hpp"
#include "fs/size_text.hpp"
#include "fs/with_path.hpp"

namespace nacre {
namespace {

constexpr std::size_t pack = 1000;  // blocks asked for at once

const char* change_word(PathVersion::Change change) {
  switch (change) {
    case PathVersion::Change::added: return "added";
    case PathVersion::Change::modified: return "modified";
    case PathVersion::Change::removed: return "removed";
  }
  return "";
}

std::string padded(std::string text, std::size_t width) {
  if (text.size() < width) text.insert(0, width - text.size(), ' ');
  return text;
}

std::string history_json(const std::string& path, const HistoryPage& page) {
  JsonWriter json;
  json.object().key("path").value(path).key("versions").array();
  for (const auto& version : page.versions) {
    const auto& commit = version.commit;
    json.object().key("commit").value(commit.id.hex()).key("time").value(commit.ctime);
    json.key("author").value(commit.creator_name.value_or(""));
    json.key("device").value(commit.device_name);
    json.key("change").value(change_word(version.change));
    json.key("size").value(version.entry.size).key("id").value(version.entry.id.hex()).end();
  }
  json.end().key("next").text_or_null(page.next ? page.next->hex() : "");
  json.key("forgotten").value(page.forgotten);
  return std::move(json.end()).take() + "\n";
}

std::string history_text(const HistoryPage& page) {
  std::string text;
  for (const auto& version : page.versions) {
    const auto& entry = version.entry;
    const auto size = entry.is_directory() ? "folder" : size_text(entry.size);
    text += version.commit.id.hex() + "  " + time_text(version.commit.ctime) + "  " +
            padded(change_word(version.change), 8) + "  " + padded(size, 10) + "  " +
            printable(version.commit.creator_name.value_or("-")) + "\n";
  }
  if (page.next) text += "more: --before " + page.next->hex() + "\n";
  return text;
}

ObjectId commit_in(const std::string& text) {
  const auto id = ObjectId::parse(text);
  if (!id)
    throw Error(Errc::invalid, text + ": not a commit's id, 40 digits; `nacre history` shows them");
  return *id;
}

}  // namespace

ControlReply MountedFilesystem::history(const std::string& path, bool json, std::size_t most,
                                        const std::string& before, const Told& told) {
  const auto [library, name, inside] = library_path(path);
  ObjectId from;
  if (before.empty()) {
    make_ready(library);
    const std::lock_guard lock(mutex_);
    from = tree_.library(library).base.id;
  } else {
    from = commit_in(before);
  }
  const auto page = history_of(depot_, library, inside, from, most, [&](std::uint64_t commits) {
    told({.done = commits, .total = 0, .unit = "commits"});
  });
  if (page.versions.empty() && !page.next && before.empty())
    throw Error(Errc::not_found, path + ": the server has no history of it");
  return {0, json ? history_json(path, page) : history_text(page)};
}

// As an ordinary change, by ids: no contents are moved.
ControlReply MountedFilesystem::restore(const std::string& path, const std::string& at,
                                        const std::string& to, const Told& told) {
  const auto [library, name, inside] = library_path(path);
  const auto target = to.empty() ? path : to;
  if (inside.empty() || library_path(target).path.empty())
    throw Error(Errc::invalid, path + ": name something in a library");
  if (library_path(target).library != library)
    throw Error(Errc::cross_library, to + ": in another library; restore it here, and copy it");
  const auto commit = remote_->commit(library, commit_in(at));
  const auto old = entry_at(depot_, library, commit.root, inside);
  if (!old) throw Error(Errc::not_found, path + ": was not there at that commit");
  check_still_there({library, inside, old->id, old->size, old->is_directory()}, told);

  const auto slash = target.rfind('/');
  const auto folder = slash == std::string::npos ? std::string() : target.substr(0, slash);
  const auto new_name = target.substr(slash == std::string::npos ? 0 : slash + 1);
  Notices notices;
  State::Ticket ticket = 0;
  with_path(folder, [&](Tree& tree, Node& parent) {
    auto& node = tree.put_published(parent, new_name, *old);
    ticket = tree.stage();
    notices.entries.emplace_back(parent.ino, new_name);
    notices.data.push_back(node.ino);
    return 0;
  });
  state_.commit(ticket);
  sync_of(library).poke();
  if (context_.kernel) notices.tell(*context_.kernel);
  return {};
}

// Servers forget the contents of old versions: what would point to nothing is not restored.
void MountedFilesystem::check_still_there(const PublishedEntry& old, const Told& told) {
  Counted files(told, 1, "files");
  std::vector<ObjectId> blocks;
  const auto check = [&] {
    if (!blocks.empty() && !remote_->missing_blocks(old.library, blocks).empty())
      throw Error(Errc::gone, old.path + ": the server no longer has the contents of that version");
    blocks.clear();
  };
  visit(depot_, old, Reach::files,
        {.file =
             [&](const PublishedEntry& file) {
               files.one();
               const auto content = depot_.file(file.library, file.id);
               blocks.insert(blocks.end(), content->blocks.begin(), content->blocks.end());
               if (blocks.size() >= pack) check();
               return true;
             },
         .folder = {},
         .not_known = {},
         .part = [&](double part) { files.part(part); }});
  check();
}

ControlReply MountedFilesystem::du(const std::string& path, bool json, const Told& told) {
  const auto below = with_path(path, [](Tree& tree, Node& node) {
    if (node.library && !node.library->ready) throw NeedLibrary{node.library->id};
    return subtree_of(tree, node);
  });
  std::uint64_t files = below.changed_files, bytes = below.changed_bytes, cached = 0;
  Counted folders(told, below.published.size(), "folders");
  for (const auto& top : below.published) {
    visit(depot_, top, Reach::folders,
          {.file =
               [&](const PublishedEntry& file) {
                 ++files;
                 bytes += file.size;
                 cached += held_of(file).bytes;
                 return true;
               },
           .folder = [&](const PublishedEntry&) { folders.one(); },
           .not_known = {},
           .part = [&](double part) { folders.part(part); }});
    folders.tree_done();
  }
  if (!json)
    return {0, size_text(bytes) + " in " + std::to_string(files) +
                   (files == 1 ? " file" : " files") + ", " + size_text(cached) + " cached, " +
                   size_text(below.unsent.bytes) + " unsent\n"};
  JsonWriter out;
  out.object().key("path").value(path).key("bytes").value(bytes).key("files").value(files);
  out.key("cached_bytes").value(cached).key("unsent_bytes").value(below.unsent.bytes);
  out.key("unsent_names").value(below.unsent.names).end();
  return {0, std::move(out).take() + "\n"};
}

}  // namespace nacre
