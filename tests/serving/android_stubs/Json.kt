/* org.json for a flat object with a list of numbers. */
package org.json

class JSONArray(private val values: List<Int>) {
    fun getInt(index: Int) = values[index]
}

class JSONObject(text: String) {
    private val values = Regex("\"(\\w+)\": (\\[[^]]*]|[^,}]+)").findAll(text).associate { it.groupValues[1] to it.groupValues[2] }

    fun getInt(name: String) = values.getValue(name).toInt()
    fun getBoolean(name: String) = values.getValue(name).toBooleanStrict()
    fun getJSONArray(name: String) = JSONArray(values.getValue(name).trim('[', ']').split(", ").map { it.toInt() })
}
