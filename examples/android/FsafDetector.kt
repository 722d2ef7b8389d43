package org.example.fsaf

import android.graphics.Bitmap
import android.graphics.Canvas
import android.graphics.Color
import java.io.File
import java.nio.ByteBuffer
import java.util.zip.ZipFile
import org.json.JSONObject
import org.tensorflow.lite.Interpreter

class Detection(val box: Box, val name: String, val score: Float)

/** What a file says of itself: its input, and the names of its classes. */
class FsafMetadata(model: File) {
    val canvas: FsafCanvas
    val names: List<String>

    init {
        ZipFile(model).use { archive ->
            fun text(name: String) = archive.getInputStream(archive.getEntry(name)).bufferedReader().readText()
            val json = JSONObject(text("canvas.json"))
            val padding = json.getJSONArray("padding")
            canvas = FsafCanvas(
                json.getInt("height"), json.getInt("width"), json.getBoolean("keep_aspect"),
                json.getInt("shorter_side"), json.getInt("longer_side"), List(3) { padding.getInt(it) },
            )
            names = text("labels.txt").lines().filter { it.isNotEmpty() }
        }
    }
}

/** The photo in the upper left corner of the input, the rest in the colour of the padding. */
fun FsafCanvas.pad(photo: Bitmap): Bitmap {
    val fitted = sizeOf(Size(photo.height, photo.width))
    val padded = Bitmap.createBitmap(width, height, Bitmap.Config.ARGB_8888)
    val drawing = Canvas(padded)
    drawing.drawColor(Color.rgb(padding[0], padding[1], padding[2]))
    drawing.drawBitmap(Bitmap.createScaledBitmap(photo, fitted.width, fitted.height, true), 0f, 0f, null)
    return padded
}

/** A file of `export --format=tflite` by LiteRT. Not for several threads at once. */
class FsafDetector(model: File, threads: Int = 4) : AutoCloseable {
    private val metadata = FsafMetadata(model)
    private val canvas = metadata.canvas
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(threads))
    private val rows = interpreter.getOutputTensor(0).shape()[1]
    private val pixels = IntArray(canvas.height * canvas.width)
    private val input = ByteBuffer.allocateDirect(3 * pixels.size)

    /** The detections in a photo that stands upright, by falling score. */
    fun detect(photo: Bitmap, leastScore: Float = 0.3f): List<Detection> {
        canvas.pad(photo).getPixels(pixels, 0, canvas.width, 0, 0, canvas.width, canvas.height)
        input.rewind()
        for (pixel in pixels) {
            input.put(Color.red(pixel).toByte()).put(Color.green(pixel).toByte()).put(Color.blue(pixel).toByte())
        }
        input.rewind()
        val shares = arrayOf(Array(rows) { FloatArray(4) })
        val classes = arrayOf(FloatArray(rows))
        val scores = arrayOf(FloatArray(rows))
        val count = FloatArray(1)
        val outputs = mapOf<Int, Any>(0 to shares, 1 to classes, 2 to scores, 3 to count)
        interpreter.runForMultipleInputsOutputs(arrayOf<Any>(input), outputs)
        val size = Size(photo.height, photo.width)
        return (0 until count[0].toInt()).filter { scores[0][it] >= leastScore }.mapNotNull { row ->
            val box = canvas.toPhoto(shares[0][row], size)
            box?.let { Detection(it, metadata.names[classes[0][row].toInt()], scores[0][row]) }
        }
    }

    override fun close() = interpreter.close()
}
