package org.example.fsaf

import kotlin.math.max
import kotlin.math.min
import kotlin.math.round

/** Height and width in pixels. */
data class Size(val height: Int, val width: Int)

/** A box in pixels of the photo. */
data class Box(val top: Float, val left: Float, val bottom: Float, val right: Float)

/** The input of a file, its `canvas.json`: how a photo lies on it, and how boxes come back. */
data class FsafCanvas(
    val height: Int,
    val width: Int,
    val keepAspect: Boolean,
    val shorterSide: Int,
    val longerSide: Int,
    val padding: List<Int>,  // red, green, blue
) {
    /** The size that a photo gets. It lies in the upper left corner. */
    fun sizeOf(photo: Size): Size {
        if (!keepAspect) return Size(height, width)
        val shorter = min(photo.height, photo.width)
        val longer = max(photo.height, photo.width)
        val scale = min(shorterSide.toFloat() / shorter, longerSide.toFloat() / longer)
        val rows = max(round(photo.height * scale), 1f).toDouble()
        val columns = max(round(photo.width * scale), 1f).toDouble()
        val shrink = minOf(1.0, height / rows, width / columns)
        return Size(max(round(rows * shrink).toInt(), 1), max(round(columns * shrink).toInt(), 1))
    }

    /** A box in shares of the input (top, left, bottom, right) on the photo; null if it is all in the padding. */
    fun toPhoto(shares: FloatArray, photo: Size): Box? {
        val fitted = sizeOf(photo)
        val down = photo.height.toFloat() / fitted.height * height
        val across = photo.width.toFloat() / fitted.width * width
        val box = Box(
            (shares[0] * down).coerceIn(0f, photo.height.toFloat()),
            (shares[1] * across).coerceIn(0f, photo.width.toFloat()),
            (shares[2] * down).coerceIn(0f, photo.height.toFloat()),
            (shares[3] * across).coerceIn(0f, photo.width.toFloat()),
        )
        return if (box.top < box.bottom && box.left < box.right) box else null
    }
}
