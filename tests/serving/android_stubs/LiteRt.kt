/* LiteRT's interpreter: it writes its input to a file, and finds what another file says. */
package org.tensorflow.lite

import java.io.File
import java.nio.ByteBuffer

class Tensor(private val sides: IntArray) {
    fun shape() = sides
}

class Interpreter(private val model: File, options: Options) : AutoCloseable {
    class Options {
        fun setNumThreads(count: Int) = this
    }

    private val found = File("${model.path}.found").readLines().map { line -> line.split(" ").map { it.toFloat() } }

    fun getOutputTensor(index: Int) = Tensor(intArrayOf(1, found.size, 4))

    @Suppress("UNCHECKED_CAST")
    fun runForMultipleInputsOutputs(inputs: Array<Any>, outputs: Map<Int, Any>) {
        val image = inputs[0] as ByteBuffer
        val bytes = ByteArray(image.remaining()).also { image.get(it) }
        File("${model.path}.input").writeBytes(bytes)
        for ((row, values) in found.withIndex()) {
            values.subList(0, 4).toFloatArray().copyInto((outputs[0] as Array<Array<FloatArray>>)[0][row])
            (outputs[1] as Array<FloatArray>)[0][row] = values[4]
            (outputs[2] as Array<FloatArray>)[0][row] = values[5]
        }
        (outputs[3] as FloatArray)[0] = found.size.toFloat()
    }

    override fun close() {}
}
