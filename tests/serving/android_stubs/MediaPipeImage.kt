package com.google.mediapipe.framework.image

import android.graphics.Bitmap

interface MPImage

class BitmapImageBuilder(bitmap: Bitmap) {
    fun build(): MPImage = TODO()
}
