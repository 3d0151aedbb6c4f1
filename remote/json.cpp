// SPDX-License-Identifier: Apache-2.0
#include "remote/json.hpp"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <string>
#include <type_traits>

#include "base/error.hpp"

namespace nacre {

using simdjson::dom::element;
static_assert(std::is_trivially_copyable_v<element>);

// Passes between our opaque handle and simdjson's reference.
struct JsonAccess {
  static element open(const Json& value) noexcept { return std::bit_cast<element>(value.handle_); }
  static Json wrap(const element& value) noexcept {
    return Json(std::bit_cast<Json::Handle>(value));
  }
};

namespace {

template <class T>
std::optional<T> as(const Json& value) noexcept {
  T result{};
  if (JsonAccess::open(value).get(result) != simdjson::SUCCESS) return std::nullopt;
  return result;
}

}  // namespace

bool Json::is_null() const noexcept { return JsonAccess::open(*this).is_null(); }
bool Json::is_object() const noexcept { return JsonAccess::open(*this).is_object(); }
bool Json::is_array() const noexcept { return JsonAccess::open(*this).is_array(); }

std::optional<std::string_view> Json::as_string() const noexcept {
  return as<std::string_view>(*this);
}
std::optional<std::int64_t> Json::as_int64() const noexcept { return as<std::int64_t>(*this); }
std::optional<std::uint64_t> Json::as_uint64() const noexcept { return as<std::uint64_t>(*this); }
std::optional<double> Json::as_double() const noexcept { return as<double>(*this); }
std::optional<bool> Json::as_bool() const noexcept { return as<bool>(*this); }

std::vector<Json> Json::items() const {
  std::vector<Json> result;
  simdjson::dom::array array;
  if (JsonAccess::open(*this).get(array) != simdjson::SUCCESS) return result;
  for (const element item : array) result.push_back(JsonAccess::wrap(item));
  return result;
}

std::vector<JsonMember> Json::members() const {
  std::vector<JsonMember> result;
  simdjson::dom::object object;
  if (JsonAccess::open(*this).get(object) != simdjson::SUCCESS) return result;
  for (const auto& field : object) result.push_back({field.key, JsonAccess::wrap(field.value)});
  return result;
}

std::optional<Json> Json::member(std::string_view key) const noexcept {
  element value;
  if (JsonAccess::open(*this).at_key(key).get(value) != simdjson::SUCCESS) return std::nullopt;
  return JsonAccess::wrap(value);
}

void Json::members(std::span<const std::string_view> keys,
                   std::span<std::optional<Json>> values) const noexcept {
  simdjson::dom::object object;
  if (JsonAccess::open(*this).get(object) != simdjson::SUCCESS) return;
  std::size_t next = 0;  // to be looked at first
  for (const auto& field : object) {
    for (std::size_t tried = 0; tried < keys.size(); ++tried) {
      const auto at = (next + tried) % keys.size();
      if (keys[at] != field.key) continue;
      if (!values[at]) values[at] = JsonAccess::wrap(field.value);
      next = at + 1;
      break;
    }
  }
}

std::optional<std::string_view> Json::string_at(std::string_view key) const noexcept {
  const auto value = member(key);
  return value ? value->as_string() : std::nullopt;
}
std::optional<std::int64_t> Json::int64_at(std::string_view key) const noexcept {
  const auto value = member(key);
  return value ? value->as_int64() : std::nullopt;
}
std::optional<bool> Json::bool_at(std::string_view key) const noexcept {
  const auto value = member(key);
  return value ? value->as_bool() : std::nullopt;
}

struct JsonDocument::State {
  simdjson::dom::parser parser;
  element root;
};

JsonDocument::JsonDocument(std::string_view text, std::string_view what)
    : state_(std::make_unique<State>()) {
  auto& parser = state_->parser;
  auto error = parser.allocate(std::max(text.size(), std::size_t{1}), max_json_depth);
  // parse() copies the text to where the parser may read past its end.
  if (error == simdjson::SUCCESS) {
    error = parser.parse(text.data(), text.size()).get(state_->root);
  }
  if (error != simdjson::SUCCESS) {
    throw Error(Errc::corrupt,
                std::string(what) + ": not valid JSON: " + simdjson::error_message(error));
  }
}
JsonDocument::JsonDocument(ByteView text, std::string_view what)
    : JsonDocument(as_text(text), what) {}

JsonDocument::~JsonDocument() = default;
JsonDocument::JsonDocument(JsonDocument&&) noexcept = default;
JsonDocument& JsonDocument::operator=(JsonDocument&&) noexcept = default;

Json JsonDocument::root() const noexcept { return JsonAccess::wrap(state_->root); }

}  // namespace nacre
