// SPDX-License-Identifier: Apache-2.0
//
// The part of MountedFilesystem that keeps files on this machine, and lets them go.
#include "base/error.hpp"
#include "fs/shown_text.hpp"
#include "fs/size_text.hpp"
#include "fs/with_path.hpp"

namespace nacre {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t pack = 1000;  // blocks dropped at once

std::string progress(const PinStatus& pin) {
  auto text = counted(pin.files, "file", "files") + ", " + size_text(pin.bytes);
  if (!pin.complete)
    text += ", " + std::to_string(pin.blocks_here) + " of " +
            counted(pin.blocks, "block", "blocks") + " here";
  return text;
}

// Of a folder and all that is in memory below it: the kernel's pages of what is dropped go too.
void note_files(const Node& node, std::vector<Ino>& files) {
  if (!node.is_directory()) {
    files.push_back(node.ino);
    return;
  }
  for (const auto& [name, child] : node.folder->children) note_files(*child, files);
}

}  // namespace

MountedFilesystem::LibraryPath MountedFilesystem::library_path(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto& top = tree_.node(root_ino);
  if (top.library) return {top.library->id, top.library->name, path};
  const auto slash = std::min(path.find('/'), path.size());
  const auto found = top.folder->children.find(path.substr(0, slash));
  if (found == top.folder->children.end())
    throw Error(path.empty() ? Errc::invalid : Errc::not_found,
                path.empty() ? "the mount's top: name a library, or what is in one"
                             : path + ": no such library here");
  const auto& library = *found->second->library;
  return {library.id, library.name, path.substr(std::min(slash + 1, path.size()))};
}

ControlReply MountedFilesystem::pin(const std::string& path, const Told& told) {
  const auto [library, name, inside] = library_path(path);
  pinner_.pin(library, inside, told);
  return {};
}

ControlReply MountedFilesystem::pinned(const std::string& path) {
  const auto [library, name, inside] = library_path(path);
  const auto status = pinner_.wait(library, inside, 1s);
  if (!status.error.empty())
    return {exit_status(status.code), status.error + "; it stays pinned, and is tried again"};
  return {0, (status.complete ? "complete\n" : "fetching\n") + progress(status) + "\n"};
}

ControlReply MountedFilesystem::unpin(const std::string& path) {
  const auto [library, name, inside] = library_path(path);
  pinner_.unpin(library, inside);
  return {};
}

ControlReply MountedFilesystem::evict(const std::string& path, const Told& told) {
  Subtree below;
  std::vector<Ino> files;
  with_path(path, [&](Tree& tree, Node& node) {
    if (node.library) {
      if (const auto pin = pinner_.pin_of(node.library->id, path_in_library(node)))
        throw Error(Errc::exists, path + ": is pinned by " +
                                      (pin->empty() ? node.library->name : *pin) +
                                      "; `nacre unpin` that first");
    }
    below = subtree_of(tree, node);
    files.clear();
    note_files(node, files);
    return 0;
  });
  std::uint64_t freed = 0;
  Counted files_looked_at(told, below.published.size(), "files");
  std::vector<ObjectId> blocks;
  for (const auto& top : below.published) {
    const auto drop = [&] {
      freed += depot_.evict_blocks(top.library, blocks);
      blocks.clear();
    };
    visit(depot_, top, Reach::here,
          {.file =
               [&](const PublishedEntry& file) {
                 files_looked_at.one();
                 if (const auto known = depot_.known_file(file.library, file.id))
                   blocks.insert(blocks.end(), known->blocks.begin(), known->blocks.end());
                 if (blocks.size() >= pack) drop();
                 return true;
               },
           .folder = {},
           .not_known = {},
           .part = [&](double part) { files_looked_at.part(part); }});
    drop();
    files_looked_at.tree_done();
  }
  if (context_.kernel)
    for (const auto ino : files) context_.kernel->data_changed(ino);
  return {0, size_text(freed) + " freed\n"};
}

void MountedFilesystem::tell_pins(JsonWriter& json) {
  json.key("pins").array();
  for (const auto& pin : pinner_.status()) {
    json.object().key("library").value(pin.library.text()).key("path").value(pin.path);
    json.key("files").value(pin.files).key("bytes").value(pin.bytes);
    json.key("blocks").value(pin.blocks).key("blocks_here").value(pin.blocks_here);
    json.key("complete").value(pin.complete).key("error").text_or_null(pin.error).end();
  }
  json.end();
}

std::string MountedFilesystem::pins_text(const LibraryId& library) {
  std::string text;
  for (const auto& pin : pinner_.status()) {
    if (pin.library != library) continue;
    text += "    pinned " + (pin.path.empty() ? "whole" : pin.path) + ": " + progress(pin);
    if (!pin.error.empty()) text += "; " + pin.error;
    text += "\n";
  }
  return text;
}

}  // namespace nacre
