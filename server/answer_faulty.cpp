// SPDX-License-Identifier: Apache-2.0
#include "server/answer_faulty.hpp"

#include <algorithm>
#include <ctime>
#include <memory>
#include <optional>
#include <regex>

#include "base/error.hpp"
#include "crypto/hash.hpp"
#include "remote/wire.hpp"
#include "server/connections.hpp"

namespace nacre {
namespace {

using Action = Fault::Action;
using std::chrono::milliseconds;

constexpr auto dribble = milliseconds(100);  // between two pieces of a slow body
constexpr const char* somebody = "somebody@example.com";

// The body of an answer, however it was to be made.
std::string body_of(const httplib::Response& response) {
  if (!response.content_provider_) return response.body;
  std::string body;
  httplib::DataSink sink;
  sink.write = [&](const char* data, std::size_t size) {
    body.append(data, size);
    return true;
  };
  sink.is_writable = [] { return true; };
  while (body.size() < response.content_length_ &&
         response.content_provider_(body.size(), response.content_length_ - body.size(), sink)) {
  }
  return body;
}

void set_body(httplib::Response& response, const std::string& body) {
  const auto type = response.get_header_value("Content-Type");
  httplib::Response fresh;
  fresh.status = response.status;
  if (!body.empty()) fresh.set_content(body, type);
  response = std::move(fresh);
}

void send_slowly(Faults& faults, httplib::Response& response, std::size_t bytes_a_second) {
  const auto body = std::make_shared<const std::string>(body_of(response));
  if (body->empty()) return;
  const auto piece =
      std::max<std::size_t>(1, bytes_a_second * static_cast<std::size_t>(dribble.count()) / 1000);
  const auto pause = piece > 1 ? dribble : milliseconds(1000 / bytes_a_second);
  httplib::Response fresh;
  fresh.status = response.status;
  fresh.set_content_provider(body->size(), response.get_header_value("Content-Type"),
                             [&faults, body, piece, pause](std::size_t offset, std::size_t length,
                                                           httplib::DataSink& sink) {
                               return faults.wait(pause) &&
                                      sink.write(body->data() + offset, std::min(piece, length));
                             });
  response = std::move(fresh);
}

// An answer without a body announces a byte, and sends none.
void cut_short(httplib::Response& response) {
  const auto body = std::make_shared<const std::string>(body_of(response));
  httplib::Response fresh;
  fresh.status = response.status;
  fresh.set_content_provider(
      std::max<std::size_t>(1, body->size()), response.get_header_value("Content-Type"),
      [body](std::size_t offset, std::size_t, httplib::DataSink& sink) {
        return offset == 0 && body->size() > 1 && sink.write(body->data(), body->size() / 2);
      });
  response = std::move(fresh);
}

void flip_a_bit(httplib::Response& response) {
  auto body = body_of(response);
  if (body.empty()) return;
  auto& middle = body[body.size() / 2];
  middle = static_cast<char>(static_cast<unsigned char>(middle) ^ 1U);
  set_body(response, body);
}

// Any other object of this kind (commits, fs, blocks) and library.
std::optional<ObjectId> another(const ServerState& state, std::string_view kind,
                                const LibraryId& library, const ObjectId& id) {
  std::error_code none;  // an empty library has no such folder
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           state.store.root() / kind / library.str(), none)) {
    const auto other = ObjectId::parse(entry.path().parent_path().filename().string() +
                                       entry.path().filename().string());
    if (other && *other != id) return other;
  }
  return std::nullopt;
}

std::string with_other_heads(const std::string& body) {
  const std::regex id("[0-9a-f]{40}");
  std::string changed;
  auto from = body.begin();
  for (std::sregex_iterator at(body.begin(), body.end(), id), end; at != end; ++at) {
    changed.append(from, body.begin() + at->position());
    changed += sha1(as_bytes(at->str())).hex();
    from = body.begin() + at->position() + at->length();
  }
  return changed.append(from, body.end());
}

// Other objects, in the order of what was asked for and under the names of that.
void pack_others(const ServerState& state, const LibraryId& library,
                 const httplib::Request& request, httplib::Response& response,
                 const std::string& body, const CarryOut& carry_out) {
  const auto asked = read_ids(as_bytes(body));
  std::vector<ObjectId> others;
  for (const auto& id : asked) {
    const auto other = another(state, "fs", library, id);
    if (!other) throw Refusal{404};
    others.push_back(*other);
  }
  carry_out(request, response, write_ids(others));
  const auto answer = body_of(response);
  const auto packed = read_pack(as_bytes(answer));
  Bytes pack;
  for (std::size_t i = 0; i < packed.size(); ++i) append_packed(pack, asked[i], packed[i].stored);
  set_body(response, std::string(pack.begin(), pack.end()));
}

void answer_with_another(const ServerState& state, const httplib::Request& request,
                         httplib::Response& response, std::string body, const CarryOut& carry_out) {
  static const std::regex object("(.*/repo/([0-9a-f-]{36})/(commit|fs|block)/)([0-9a-f]{40})/?");
  static const std::regex pack(".*/repo/([0-9a-f-]{36})/pack-fs/?");
  std::smatch match;
  if (request.method == "GET" && std::regex_match(request.path, match, object)) {
    const auto library = LibraryId::parse(match[2].str());
    const auto id = ObjectId::parse(match[4].str());
    const auto kind = match[3] == "fs" ? "fs" : match[3].str() + "s";
    const auto other = library && id ? another(state, kind, *library, *id) : std::nullopt;
    if (!other) throw Refusal{404};
    auto altered = request;
    altered.path = match[1].str() + other->hex();
    carry_out(altered, response, std::move(body));
  } else if (std::regex_match(request.path, match, pack)) {
    const auto library = LibraryId::parse(match[1].str());
    if (!library) throw Refusal{404};
    pack_others(state, *library, request, response, body, carry_out);
  } else {
    carry_out(request, response, std::move(body));
    set_body(response, with_other_heads(body_of(response)));
  }
}

void move_head(ServerState& state, const std::string& path) {
  static const std::regex in_library(".*/repo/([0-9a-f-]{36})/.*");
  std::smatch match;
  const auto library =
      std::regex_match(path, match, in_library) ? LibraryId::parse(match[1].str()) : std::nullopt;
  if (!library || state.accounts.owner_of(*library).empty()) return;
  for (;;) {
    const auto head = state.store.commit(*library, state.store.head(*library));
    Directory root;
    if (!head.root.is_empty())
      root = read_directory(head.root, state.store.object(*library, head.root));
    const auto name = [](int number) { return "moved " + std::to_string(number) + ".txt"; };
    int number = 1;
    while (root.find(name(number)) != nullptr) ++number;
    const auto now = std::max<std::int64_t>(std::time(nullptr), head.ctime + 1);
    root.entries.push_back({name(number), ObjectId{}, mode_file, now, 0, somebody});
    root.sort();
    const auto json = write_directory(root);
    const auto top = sha1(json);
    state.store.put_object(*library, top, json);
    const auto next =
        next_commit(head, top, somebody, ObjectId{}, "Added \"" + name(number) + "\".\n", now);
    state.store.put_commit(next);
    if (state.store.move_head(*library, head.id, next.id)) return;
  }
}

}  // namespace

void answer_faulty(Faults& faults, ServerState& state, const httplib::Request& request,
                   httplib::Response& response, std::string body, const CarryOut& carry_out) {
  for (const auto& fault : faults.of(request.method, request.target)) {
    switch (fault.action) {
      case Action::delay:
        if (!faults.wait(milliseconds(fault.number))) return reset_connection(request);
        continue;
      case Action::hang: faults.wait(std::chrono::seconds(fault.number)); [[fallthrough]];
      case Action::reset: return reset_connection(request);
      case Action::status: response.status = static_cast<int>(fault.number); return;
      case Action::wrong_id:
        return answer_with_another(state, request, response, std::move(body), carry_out);
      case Action::lose_answer:
        carry_out(request, response, std::move(body));
        return reset_connection(request);
      case Action::slow:
        carry_out(request, response, std::move(body));
        return send_slowly(faults, response, fault.number);
      case Action::truncate:
        carry_out(request, response, std::move(body));
        return cut_short(response);
      case Action::corrupt:
        carry_out(request, response, std::move(body));
        return flip_a_bit(response);
      case Action::move_head: move_head(state, request.path); break;
    }
  }
  carry_out(request, response, std::move(body));
}

}  // namespace nacre
