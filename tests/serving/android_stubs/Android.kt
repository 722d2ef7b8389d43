/* As much of Android as the examples call, on the JVM: pixels are real, a resized picture has its nearest pixels. */
package android.graphics

class Bitmap(val width: Int, val height: Int, val pixels: IntArray) {
    enum class Config { ARGB_8888 }

    fun getPixels(into: IntArray, offset: Int, stride: Int, x: Int, y: Int, width: Int, height: Int) {
        for (row in 0 until height) for (column in 0 until width) {
            into[offset + row * stride + column] = pixels[(y + row) * this.width + x + column]
        }
    }

    companion object {
        fun createBitmap(width: Int, height: Int, config: Config) = Bitmap(width, height, IntArray(width * height))

        fun createScaledBitmap(source: Bitmap, width: Int, height: Int, filter: Boolean) =
            Bitmap(width, height, IntArray(width * height) {
                source.pixels[(it / width) * source.height / height * source.width + it % width * source.width / width]
            })
    }
}

class Canvas(private val into: Bitmap) {
    fun drawColor(colour: Int) = into.pixels.fill(colour)

    fun drawBitmap(bitmap: Bitmap, left: Float, top: Float, paint: Any?) {
        for (row in 0 until bitmap.height) for (column in 0 until bitmap.width) {
            into.pixels[(row + top.toInt()) * into.width + column + left.toInt()] =
                bitmap.pixels[row * bitmap.width + column]
        }
    }
}

class RectF(val left: Float, val top: Float, val right: Float, val bottom: Float)

object Color {
    fun rgb(red: Int, green: Int, blue: Int) = (255 shl 24) or (red shl 16) or (green shl 8) or blue
    fun red(colour: Int) = (colour shr 16) and 255
    fun green(colour: Int) = (colour shr 8) and 255
    fun blue(colour: Int) = colour and 255
}
